"""Records what Twilio charged for each message, read from its lists day by day, hours after
sending.

The lists also give the final status of messages whose callbacks were lost.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from db import locks
from db.campaigns import listed_statuses, prices
from db.lifecycle import organizations
from providers.errors import ProviderError
from providers.twilio import Twilio

log = structlog.get_logger()
KNOWN_AFTER = timedelta(hours=1)
"""Twilio takes up to a day to price a message; earlier reads rarely find a price."""
GIVEN_UP_AFTER = timedelta(days=3)
_PAGES = 50
"""Pages of a thousand messages, about a second each: one attempt stays well under its timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesFrom:
    """Where to continue: after an organization, or at one of its days (ISO 8601) and a page of that
    day's list.
    """

    organization_id: str = ""
    day: str | None = None
    page: str | None = None


async def record(
    engine: AsyncEngine, twilio: Twilio, at: PricesFrom, *, now: datetime
) -> PricesFrom | None:
    """Record some pages from `at` on. Failed queries are repeated in the next pass."""
    since, before = now - GIVEN_UP_AFTER, now - KNOWN_AFTER
    for _ in range(_PAGES):
        activity.heartbeat(at.organization_id)
        if at.day is None:
            async with engine.connect() as conn:
                unpriced = await prices.next_unpriced(
                    conn, after=at.organization_id, since=since, before=before
                )
            if unpriced is None:
                return None
            at = PricesFrom(
                organization_id=unpriced.organization_id, day=unpriced.first_day.isoformat()
            )
        try:
            at = await _record_page(engine, twilio, at, today=now.date())
        except (
            ProviderError,
            DBAPIError,
        ) as problem:  # one organization's failure must not block the others
            log.warning(
                "price_query_failed",
                organization_id=at.organization_id,
                reason=str(problem).partition("\n")[0],
            )
            at = PricesFrom(organization_id=at.organization_id)
    return at


async def _record_page(
    engine: AsyncEngine, twilio: Twilio, at: PricesFrom, *, today: date
) -> PricesFrom:
    assert at.day is not None
    day = date.fromisoformat(at.day)
    async with engine.connect() as conn:
        organization = await organizations.get(conn, at.organization_id)
    if organization is None:
        return PricesFrom(organization_id=at.organization_id)
    page = await twilio.list_messages(organization.twilio_account_sid, day, page=at.page)
    prices_by_sid = {
        message.sid: message.price for message in page.messages if message.price is not None
    }
    async with engine.begin() as conn:
        await locks.hurry(conn)
        recorded = await prices.record(conn, organization.id, prices_by_sid)
        differing = await listed_statuses.compare(conn, organization.id, page.messages)
    log.info(
        "prices_recorded",
        organization_id=organization.id,
        day=at.day,
        recorded=recorded,
        statuses_differing=differing,
    )
    if page.next is not None:
        return replace(at, page=page.next)
    # a message that Twilio queues past midnight is sent on the next day
    tomorrow = day + timedelta(days=1)
    return PricesFrom(
        organization_id=at.organization_id, day=tomorrow.isoformat() if tomorrow <= today else None
    )
