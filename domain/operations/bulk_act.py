"""An act over many organizations: first shown, then confirmed by the digest of what was shown.
Pure.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.money import Money

MOST_ORGANIZATIONS = 100_000
VALID_FOR = timedelta(hours=1)
"""A preview that is older shows a state that has passed."""
SAMPLE = 20


class BulkKind(StrEnum):
    SUSPEND = "suspend"
    FREEZE = "freeze"
    CREDIT = "credit"


class BulkStatus(StrEnum):
    PREVIEWED = "previewed"
    RUNNING = "running"
    DONE = "done"


class TargetStatus(StrEnum):
    """`REFUSED`: the ledger or the organization's state does not allow it; the detail says why."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAct:
    """`amount` is what each organization is credited."""

    id: UUID
    kind: BulkKind
    filters: dict[str, object]
    reason: str
    amount: Money | None
    digest: str
    organizations: int
    status: BulkStatus
    previewed_by: str
    previewed_at: datetime
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def total(self) -> Money | None:
        """The money of all together."""
        if self.amount is None:
            return None
        return Money(self.amount.micros * self.organizations, self.amount.currency)


def digest(kind: BulkKind, amount: Money | None, reason: str, ids: Sequence[str]) -> str:
    """What a confirmation names: the act and every organization that it concerns."""
    head = f"{kind.value}\n{amount or ''}\n{reason}\n"
    return hashlib.sha256((head + "\n".join(sorted(ids))).encode()).hexdigest()
