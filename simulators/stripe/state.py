"""The Stripe simulator's state: every object in the format of Stripe's API, by its id."""

import random
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Json = dict[str, Any]
API_VERSION = "2026-10-28.endive"
ACCOUNT = "acct_1SimulatedAccount"
DEFAULT_PRICE = "price_standard"
MONTH = 30 * 24 * 3600
_LETTERS = string.ascii_letters + string.digits
_ZERO_DECIMALS = frozenset(
    {
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    }
)
_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
LEAST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
"""The minimum charge in some currencies."""
_WHOLE = frozenset({"isk", "ugx"})


def subscription_of(invoice: Json) -> str:
    """Empty for an invoice that bills no subscription."""
    return str(_subscription_details(invoice).get("subscription", ""))


def metadata_of(invoice: Json) -> Json:
    """The metadata of the subscription that it bills; empty if it bills none."""
    metadata: Json = _subscription_details(invoice).get("metadata", {})
    return metadata


def _subscription_details(invoice: Json) -> Json:
    return (invoice["parent"] or {}).get("subscription_details") or {}


@dataclass(slots=True)
class State:
    seed: int = 0
    objects: dict[str, Json] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, Json] = field(default_factory=dict)
    """The outdated states that reads of a subscription, with its newest invoice, show: reads that
    lag behind.
    """
    frozen_invoices: dict[str, list[Json]] = field(default_factory=dict)
    """The outdated states that reads of its invoices show."""
    changed: dict[str, int] = field(default_factory=dict)
    chance: random.Random = field(default_factory=random.Random)
    _moment: int = 0

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.objects.clear()
        self.calls.clear()
        self.frozen.clear()
        self.frozen_invoices.clear()
        self.changed.clear()
        self.chance = random.Random(self.seed)  # noqa: S311 - chance, not a secret
        self.add_price(DEFAULT_PRICE, 4900, "usd")

    def now(self) -> int:
        """Whole seconds, like all of Stripe's times."""
        return max(int(time.time()), self._moment)

    @contextmanager
    def moment_of(self, id_: str) -> Iterator[None]:
        """Each change of an object gets a new second: two changes in one second have no order."""
        self._moment = self.changed.get(id_, 0) + 1
        try:
            yield
            self.changed[id_] = self.now()
        finally:
            self._moment = 0

    def new_id(self, prefix: str, length: int = 24) -> str:
        return f"{prefix}_" + "".join(self.chance.choices(_LETTERS, k=length))

    def add(self, kind: str, prefix: str, **fields: Any) -> Json:
        """Store an object with the fields that every object has."""
        document = {"id": fields.pop("id", None) or self.new_id(prefix), "object": kind}
        document |= {"created": self.now(), "livemode": False, **fields}
        self.objects[document["id"]] = document
        return document

    def add_price(self, id_: str, unit_amount: int, currency: str) -> Json:
        recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
        return self.add(
            "price",
            "price",
            id=id_,
            unit_amount=unit_amount,
            currency=currency,
            recurring=recurring,
            active=True,
        )

    def all(self, kind: str, **where: Any) -> Iterator[Json]:
        """In the order of their creation."""
        for resource in self.objects.values():
            if resource["object"] == kind and all(
                resource.get(name) == value for name, value in where.items()
            ):
                yield resource

    def get(self, id_: str, kind: str) -> Json:
        """KeyError where no object of the kind has the id."""
        resource = self.objects[id_]
        if resource["object"] != kind:
            raise KeyError(id_)
        return resource


def finest(currency: str) -> int:
    """The unit of which a charge must be a multiple: in some currencies, decimals must be zero."""
    code = currency.lower()
    return 100 if code in _WHOLE else 10 if code in _THREE_DECIMALS else 1


def to_minor(amount: Decimal, currency: str) -> int:
    """Stripe's amounts are whole numbers of the currency's smallest unit."""
    code = currency.lower()
    digits = 0 if code in _ZERO_DECIMALS else 3 if code in _THREE_DECIMALS else 2
    scaled = amount.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has too many decimals for {currency}")
    return int(scaled)
