"""What an organization owes, and for what. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Why something is owed."""

    CARRIER = "carrier"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What is owed for one reversal or one charge. `name` is part of the references of its
    recoveries.
    """

    source: Source
    name: str
    owed_micros: int
    why: str
    recoveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """In micros of the wallet's currency."""

    carrier: int = 0
    reversals: int = 0

    @property
    def total(self) -> int:
        return self.carrier + self.reversals

    def of(self, source: Source) -> int:
        return self.carrier if source is Source.CARRIER else self.reversals
