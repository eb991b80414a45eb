"""Suite 8 of the original system: a second provider can be added without changes above the
adapters.
"""

import ast
import inspect
import re
from pathlib import Path

import pytest

from providers.billing import BillingProvider
from providers.paypal import PayPal
from providers.stripe import Stripe

ROOT = Path(__file__).parent.parent.parent.parent
NEUTRAL = [
    path
    for package in ("domain", "db", "activities", "workflows")
    for path in sorted((ROOT / package).rglob("*.py"))
]
WORDS = re.compile(
    r"BILLING\.|PAYMENT\.(SALE|CAPTURE)|CUSTOMER\.DISPUTE|CHECKOUT\.|APPROVAL_PENDING|CANCELLED|REACTIVATE|billing_info"
    r"|status_update_time|next_billing|outstanding_balance|agreement_details|/v[12]/"
    r"|customer\.subscription|checkout\.session|invoice|payment_intent|latest_charge|pause_collection"
)


def adapters() -> list[type[BillingProvider]]:
    """The type checker decides: it reports an error here if an adapter does not implement the
    protocol.
    """
    return [PayPal, Stripe]


@pytest.mark.parametrize("adapter", adapters())
def test_the_adapter_meets_the_protocol(adapter: type[BillingProvider]) -> None:
    functions = {
        name: member for name, member in vars(BillingProvider).items() if inspect.isfunction(member)
    }
    public = {name: member for name, member in functions.items() if not name.startswith("_")}

    assert "get_subscription" in public
    for name, member in public.items():
        assert inspect.signature(getattr(adapter, name)) == inspect.signature(member), name


@pytest.mark.parametrize("path", NEUTRAL, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_above_the_adapters_uses_a_providers_vocabulary(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not WORDS.search(node.value), f"line {node.lineno}: {node.value[:80]}"
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith(("providers.paypal", "providers.stripe")), (
                f"line {node.lineno}"
            )
        if isinstance(node, ast.Import):
            named = [name.name for name in node.names]
            assert not any(
                module_name.startswith(("providers.paypal", "providers.stripe"))
                for module_name in named
            ), node.lineno
