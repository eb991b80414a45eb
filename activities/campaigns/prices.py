"""Records what Twilio charged for each message, read from its lists day by day, hours after
sending.

The lists also give the final status of messages whose callbacks were lost. A day whose messages all
have a price is not listed again, and any other only at growing intervals.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import attempt_each, first_line
from db import locks
from db.campaigns import listed_statuses, prices
from db.campaigns.prices import Day, Unpriced
from domain.campaigns.telephony import SentMessage
from providers.errors import ProviderError, ProviderRefused
from providers.twilio import Twilio

log = structlog.get_logger()
KNOWN_AFTER = timedelta(hours=1)
"""Twilio takes up to a day to price a message; earlier reads rarely find a price."""
GIVEN_UP_AFTER = timedelta(days=3)
ORGANIZATIONS, AT_ONCE, PAGES = 12, 4, 5
"""One step reads so many pages of a thousand messages for each organization, each in at most eight
seconds: two minutes at worst.
"""


async def _nothing_else(organization_id: str, page: Sequence[SentMessage]) -> None:
    """The page is read for prices only."""


class Prices:
    """`turn` waits for the turn of one call of the budget that all workers share; `also` gets each
    page for what else it shows.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        turn: Callable[[], Awaitable[None]],
        also: Callable[[str, Sequence[SentMessage]], Awaitable[object]] = _nothing_else,
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn
        self._also = also

    async def record(self, after: str, *, now: datetime) -> tuple[str | None, int]:
        """Record the prices of the next organizations. Returns the organization behind which to
        continue, None at the end, and the number of pages.

        What cannot be read now is left to the next pass; raises retryably if Twilio answers
        nothing.
        """
        since = now - GIVEN_UP_AFTER
        async with self._engine.begin() as conn:
            if not after:
                await prices.forget_listed(conn, before=(since - timedelta(days=1)).date())
            found = await prices.unpriced(
                conn,
                after=after,
                since=since,
                before=now - KNOWN_AFTER,
                now=now,
                limit=ORGANIZATIONS,
            )
        due = [unpriced for unpriced in found if unpriced.days]
        outcomes = await attempt_each(
            due, lambda unpriced: self._read(unpriced, now), at_once=AT_ONCE
        )
        pages = [outcome for outcome in outcomes if isinstance(outcome, int)]
        if any(number == PAGES for number in pages):
            return after, sum(pages)  # there may be more of them
        end = len(found) < ORGANIZATIONS
        return None if end else found[-1].organization_id, sum(pages)

    async def _read(self, unpriced: Unpriced, now: datetime) -> int | ProviderError | DBAPIError:
        """Read some pages; returns how many."""
        pages = 0
        for day in unpriced.days:
            page: str | None = day.page
            while pages < PAGES:
                pages += 1
                try:
                    page = await self._record_page(unpriced, Day(day=day.day, page=page), now)
                except (
                    ProviderError,
                    DBAPIError,
                ) as problem:  # one organization's failure must not block the others
                    log.warning(
                        "price_query_failed",
                        organization_id=unpriced.organization_id,
                        reason=first_line(problem),
                    )
                    if isinstance(problem, ProviderRefused):
                        await self._note(unpriced, day, now)
                        break
                    return problem
                if page is None:
                    break
        return pages

    async def _record_page(self, unpriced: Unpriced, day: Day, now: datetime) -> str | None:
        """Returns the following page."""
        await self._turn()
        page = await self._twilio.list_messages(unpriced.account_sid, day.day, page=day.page)
        prices_by_sid = {
            message.sid: message.price for message in page.messages if message.price is not None
        }
        await self._also(unpriced.organization_id, page.messages)
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            recorded = await prices.record(
                conn, unpriced.organization_id, prices_by_sid, day=day.day
            )
            differing = await listed_statuses.compare(conn, unpriced.organization_id, page.messages)
            await prices.note_listed(conn, unpriced.organization_id, day.day, page.next, now=now)
        log.info(
            "prices_recorded",
            organization_id=unpriced.organization_id,
            day=day.day.isoformat(),
            recorded=recorded,
            statuses_differing=differing,
        )
        return page.next

    async def _note(self, unpriced: Unpriced, day: Day, now: datetime) -> None:
        """What Twilio refuses to list, such as a page of long ago, is tried from its begin later."""
        async with self._engine.begin() as conn:
            await prices.note_listed(conn, unpriced.organization_id, day.day, None, now=now)
