"""A reserve: money that a wallet keeps for the recurring cost of its subaccount. Pure.

It is a hold of its own kind: it has no reference of the host's, does not expire, and changes with
what is wanted and available. No debit uses it; only charges that recur do.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """`held_micros` is less than `wanted_micros` while the wallet has no more available."""

    wanted_micros: int = 0
    held_micros: int = 0

    @property
    def short_micros(self) -> int:
        return self.wanted_micros - self.held_micros

    def filled(self, available_micros: int) -> int:
        """What it holds when it takes what it wants of that, or lets go of what it no longer wants."""
        return min(self.wanted_micros, self.held_micros + max(0, available_micros))
