"""Collects clues to an object's owner at a provider, object by object."""

from dataclasses import dataclass, field

from domain.money import Money
from providers.billing import Clues


@dataclass(slots=True)
class Gathered:
    """Lists keep the order of discovery; `payer` holds whatever identifies the payer to a person."""

    custom_ids: list[str] = field(default_factory=list)
    subscription_ids: list[str] = field(default_factory=list)
    payment_ids: list[str] = field(default_factory=list)
    plan_ids: list[str] = field(default_factory=list)
    payer: list[str] = field(default_factory=list)
    amount: Money | None = None

    def clues(self) -> Clues:
        return Clues(
            custom_ids=tuple(self.custom_ids),
            subscription_ids=tuple(self.subscription_ids),
            payment_ids=tuple(self.payment_ids),
            plan_ids=tuple(self.plan_ids),
            amount=self.amount,
            payer=", ".join(dict.fromkeys(self.payer)),
        )
