"""The calls whose cost `bench/scale` compares: what runs for each request and what runs every few
seconds.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.many_organizations import BIGGEST
from bench.outcome import BenchFailed
from db.audit import explanations, figures
from db.campaigns import (
    campaigns,
    message_lists,
    messages,
    parked_campaigns,
    refusals,
    runs,
    status_checks,
)
from db.inbox import adoption, listed_events
from db.lifecycle import organization_lists, organizations, receipts, standing_counts, unnotified
from db.switching import switches
from db.wallet import holds, ledger, seals, wallets
from db.wallet.unsealed_wallets import NOTHING
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Status
from domain.money import Money
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited

Call = Callable[[AsyncConnection], Awaitable[object]]
ACTIVE = 200
"""Organizations that the calls are about, spread over all; the same number at each size."""
_CENT = Money(10_000, "USD")
_UNFINISHED = text("""
    UPDATE receipts SET finished_at = NULL WHERE organization_id = :organization_id AND epoch = 1
""")


async def open_receipt(conn: AsyncConnection) -> None:
    await conn.execute(_UNFINISHED, {"organization_id": BIGGEST})


async def close_suspension(conn: AsyncConnection) -> None:
    """The last step of suspending the organization with the most messages."""
    await receipts.finish(conn, BIGGEST, 1, Status.SUSPENDED, now=datetime.now(UTC))


class Calls:
    """Of a database with that many organizations."""

    def __init__(self, organizations: int) -> None:
        step = max(organizations // ACTIVE, 1)
        self._active = [f"org-{n}" for n in range(1, organizations + 1, step) if n % 100 != 0]
        self._now = datetime.now(UTC)
        self._number = count()
        self._found = NOTHING

    def by_name(self) -> Mapping[str, Call]:
        now = self._now
        return {
            "relay": lambda conn: unnotified.organizations(conn, now=now, limit=200),
            "waiting": lambda conn: unnotified.organizations(
                conn, now=now, limit=1000, everything=True
            ),
            "seal_idle": self._seal,
            "debit": self._debit,
            "debit_list": self._debit_list,
            "can_send": lambda conn: explanations.why_not(conn, self._organization()),
            "explain": lambda conn: explanations.explain(conn, self._organization()),
            "scrape": lambda conn: figures.read(conn, now=now),
            "lists": self._lists,
            "adoption": lambda conn: adoption.adopt(conn, now=now),
            "sweeps": self._sweeps,
            "reconciling": self._reconciling,
            "arrivals": self._arrivals,
            "undecided": lambda conn: status_checks.add_undecided(conn, now=now),
        }

    def _organization(self) -> str:
        return self._active[next(self._number) % len(self._active)]

    async def _seal(self, conn: AsyncConnection) -> None:
        self._found = (await seals.seal(conn, self._found)).found

    async def _debit(self, conn: AsyncConnection) -> None:
        posting = debit(f"bench-{next(self._number)}", _CENT)
        booked = await wallets.post_alone(conn, self._organization(), posting)
        if not isinstance(booked, Debited):
            raise BenchFailed(f"a debit was refused: {booked}")

    async def _debit_list(self, conn: AsyncConnection) -> None:
        requests = {
            self._organization(): [debit(f"bench-{next(self._number)}", _CENT) for _ in range(10)]
            for _ in range(10)
        }
        await wallets.post_all(conn, requests)

    async def _lists(self, conn: AsyncConnection) -> None:
        id_ = self._organization()
        suspended = organization_lists.Filters(status=Status.SUSPENDED)
        # so many are suspended at the smallest size, too
        await organization_lists.page(conn, suspended, after=None, limit=10)
        await organization_lists.page(
            conn, organization_lists.Filters(), after=(None, "org-5"), limit=50
        )
        await campaigns.page(conn, id_, before=None, limit=50)
        await message_lists.of_organization(conn, id_, message_lists.Filters(), last=None, limit=50)
        await ledger.page(conn, id_, before_seq=None, limit=50)

    async def _sweeps(self, conn: AsyncConnection) -> None:
        """What `runtime.upkeep` looks for."""
        await holds.due(conn, now=self._now, limit=100)
        await unnotified.owing(conn, limit=100)
        await parked_campaigns.may_go_on(conn, now=self._now, limit=100)
        await runs.mark_silent(conn, before=self._now, limit=200)
        await runs.watch(conn, now=self._now)
        await refusals.forget(conn, now=self._now)
        await status_checks.take(conn, now=self._now)
        await standing_counts.add_up(conn)

    async def _reconciling(self, conn: AsyncConnection) -> None:
        await switches.open_ones(conn, limit=1000)
        await messages.unsettled_organizations(conn, before=self._now, after="", limit=1000)
        await organizations.page(conn, after="org-5", limit=50)

    async def _arrivals(self, conn: AsyncConnection) -> None:
        since = self._now - timedelta(minutes=15)
        for provider in Provider:
            before = await listed_events.listed_until(conn, provider)
            late = await listed_events.out_of_order(conn, provider, since, self._now)
            await listed_events.advance(
                conn, provider, missed=0, out_of_order=late, before=before, until=self._now
            )
