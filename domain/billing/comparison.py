"""Whether a provider's answer differs from what is recorded of a subscription. Pure."""

from dataclasses import dataclass
from datetime import datetime

from domain.billing.subscription import Snapshot, Subscription, confirmed

_COMPARED = ("paid_until", "paid_at", "access_until", "outstanding", "failed_payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`alerts`: a person is told; otherwise it may be a webhook that is on its way."""

    text: str
    alerts: bool = True


def difference(recorded: Subscription, answer: Snapshot, *, now: datetime) -> Difference | None:
    """What would change if the answer counted: the state, a debt, the paid time, an amount."""
    provider, before = recorded.provider.value, recorded.snapshot
    if answer.state is not before.state:
        return Difference(
            text=f"{provider} reports {answer.state.value}, the database has {before.state.value}"
        )
    if answer.subscription_id not in (None, recorded.id):
        return Difference(text=f"{provider} reports another subscription", alerts=False)
    after = confirmed(recorded, answer, word=None, now=now)
    changed = [name for name in _COMPARED if getattr(after.snapshot, name) != getattr(before, name)]
    changed += ["debt"] if after.debt != recorded.debt else []
    if not changed:
        return None
    return Difference(text=f"{provider} reports another {', '.join(changed)}", alerts=False)
