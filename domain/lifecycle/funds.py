"""What an organization's empty wallet leads to, and how much of it is reserved. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_RESERVE = 366


class WhenEmpty(StrEnum):
    KEEP = "keep"
    SUSPEND = "suspend"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsPolicy:
    """`reserve_days`: for how many days the recurring cost is held in the wallet; 0: none."""

    when_empty: WhenEmpty = WhenEmpty.KEEP
    empty_grace: timedelta = timedelta(days=1)
    reserve_days: int = 0

    def suspends_at(self, empty_since: datetime) -> datetime | None:
        """When a wallet that has been empty since then suspends its organization; None: never."""
        if self.when_empty is WhenEmpty.KEEP:
            return None
        return empty_since + self.empty_grace
