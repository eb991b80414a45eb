"""Reads what Twilio charges the company itself: each parent account without its subaccounts, and
subaccounts that no organization has. It is charged to nobody, and named in the bill.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import attempt_each, first_line, translated_forever
from db.carrier import company
from db.carrier.company import Due, Listed
from domain.carrier.categories import TOTAL
from domain.carrier.usage import WINDOW, UsageRecord, next_reading
from providers.errors import ProviderError
from providers.twilio import Twilio

log = structlog.get_logger()
LISTED_EVERY = timedelta(hours=1)
"""A list has a request for each thousand subaccounts."""
AT_ONCE, TAKEN = 4, 20
AGAIN_AFTER = timedelta(minutes=10)


class CompanyUsage:
    """`turn` waits for the turn of one call of the budget that all workers share, of a parent
    account, `listing` for that of a page of accounts.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        turn: Callable[[str], Awaitable[None]],
        listing: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn
        self._listing = listing

    async def is_to_be_listed(self, *, now: datetime) -> bool:
        async with self._engine.connect() as conn:
            at = await company.listed_at(conn)
        return at is None or now - at >= LISTED_EVERY

    async def list_accounts(self, page: str | None, *, now: datetime) -> str | None:
        """Add the accounts of a page that no organization has; returns the following page."""
        await self._listing()
        with translated_forever():
            listed = await self._twilio.list_accounts(page=page)
        found = [
            Listed(
                account_sid=each.sid,
                parent_sid=each.owner_sid or each.sid,
                name=each.friendly_name,
            )
            for each in listed.accounts
        ]
        async with self._engine.begin() as conn:
            await company.note_listed(conn, found, now=now)
        return listed.next

    async def read_due(self, *, accounts: int, now: datetime) -> int:
        """Read the accounts that are due, up to `TAKEN`; returns how many there were. What cannot
        be read now is due again later; raises retryably if Twilio answers nothing.
        """
        async with self._engine.begin() as conn:
            due = await company.take(conn, now=now, limit=TAKEN)
        await attempt_each(due, lambda each: self._try(each, accounts, now), at_once=AT_ONCE)
        async with self._engine.begin() as conn:
            await company.agree(conn, since=(now - WINDOW).date())
        return len(due)

    async def _try(self, due: Due, accounts: int, now: datetime) -> bool | Exception:
        try:
            return await self._read(due, accounts, now)
        except (ProviderError, DBAPIError) as problem:
            log.warning("company_usage_failed", account=due.account_sid, reason=first_line(problem))
            async with self._engine.begin() as conn:
                await company.note_failure(conn, due.account_sid, due_at=now + AGAIN_AFTER)
            return problem

    async def _read(self, due: Due, accounts: int, now: datetime) -> bool:
        """Returns whether anything differed."""
        since = (now - WINDOW).date()
        daily = await self._twilio.usage_of(due.account_sid)
        totals: list[UsageRecord] = []
        page: str | None = None
        while True:
            await self._turn(due.parent_sid)
            answer = await daily.list(since, now.date(), category=TOTAL, page=page)
            totals += answer.records
            page = answer.next
            if page is None:
                break
        as_of = max((each.as_of for each in totals if each.as_of is not None), default=None)
        if due.as_of is not None and as_of is not None and as_of < due.as_of:
            totals = []  # an answer from before the last one
        async with self._engine.begin() as conn:
            changed = await company.record(conn, due.account_sid, totals, since=since) > 0
            changed_at = now if changed else due.changed_at or now
            await company.note(
                conn,
                due.account_sid,
                now=now,
                due_at=next_reading(now, changed_at, accounts, suspended=False),
                as_of=as_of,
                changed=changed,
            )
        return changed
