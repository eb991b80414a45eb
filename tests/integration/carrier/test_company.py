"""What Twilio charges the company itself is in the whole installation's bill, which adds up to
Twilio's own books.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.carrier import bill
from domain.alerts import AlertKind
from domain.carrier.bill import Bill, month_of
from simulators.twilio.app import MAIN_SID
from tests.builders import ORGANIZATION, broken_claims, rows, run
from tests.integration.carrier.test_usage import INBOUND, RENT, Carrier, a_carrier, whole_pass


@pytest_asyncio.fixture
async def carrier(engine: AsyncEngine) -> AsyncIterator[Carrier]:
    async with a_carrier(engine, "10") as made:
        yield made


async def read_all(carrier: Carrier) -> None:
    """A pass over everything, as if it were due."""
    await run(carrier.engine, "UPDATE carrier_readings SET due_at = now()")
    await run(
        carrier.engine,
        "UPDATE company_accounts SET due_at = now(), listed_at = listed_at - interval '1 hour'",
    )
    await whole_pass(carrier)


async def bills(carrier: Carrier, of: str | None = None) -> list[Bill]:
    """Of this month and the last one."""
    months = [month_of(carrier.today()), month_of(carrier.today().replace(day=1) - timedelta(1))]
    async with carrier.engine.connect() as conn:
        return [await bill.get(conn, month, of) for month in months]


async def test_the_installations_bill_adds_up_to_twilios_books(carrier: Carrier) -> None:
    """With the parent itself, a subaccount of nobody, and one before it was an organization's."""
    books = carrier.simulator.state.books
    stray = carrier.simulator.state.open_account("forgotten")
    stray.created -= 60 * 86_400
    day = carrier.today(back=2)
    await run(
        carrier.engine,
        "UPDATE organizations SET created_at = :at",
        at=carrier.now - timedelta(days=5),
    )
    carrier.book(INBOUND, 8_300, back=2)
    carrier.book(RENT, 1_150_000, back=7)
    books.book(MAIN_SID, "lookups", 5_000, day=day)
    parents = books.book(MAIN_SID, "calls-outbound", 14_000, day=day)
    books.book(stray.sid, RENT, 2_150_000, day=day)
    await read_all(carrier)
    books.correct(parents.number, 10_000)

    await read_all(carrier)

    whole = await bills(carrier)
    totals = [total for found in whole for total in found.totals]
    own = {
        line.account_sid: (line.absorbed_micros, line.account)
        for found in whole
        for line in found.lines
        if line.account_sid
    }
    assert sum(total.charged_micros for total in totals) == sum(
        entry.price_micros or 0 for entry in books.entries
    )
    assert own == {
        MAIN_SID: (15_000, "the parent account itself"),
        stray.sid: (2_150_000, "forgotten, of no organization"),
        carrier.account_sid: (1_150_000, "acme, before it was charged"),
    }
    assert all(found.settled for found in whole)
    of_one = await bills(carrier, ORGANIZATION)
    assert sum(total.charged_micros for found in of_one for total in found.totals) == 8_300
    assert await broken_claims(carrier.engine) == set()


async def test_a_subaccount_of_nobody_that_spends_is_alerted_once(carrier: Carrier) -> None:
    books = carrier.simulator.state.books
    at_rest, spends = (carrier.simulator.state.open_account(name) for name in ("idle", "busy"))
    books.book(spends.sid, INBOUND, 8_300)
    for _ in range(3):
        await read_all(carrier)
        books.book(spends.sid, INBOUND, 8_300)

    (alert,) = await rows(
        carrier.engine,
        "SELECT detail, times FROM alerts WHERE kind = :kind",
        kind=AlertKind.SUBACCOUNT_UNKNOWN.value,
    )
    assert spends.sid in alert.detail
    assert at_rest.sid not in alert.detail
    assert alert.times == 1
    await run(carrier.engine, "UPDATE organizations SET twilio_account_sid = :sid", sid=spends.sid)
    await read_all(carrier)
    async with carrier.engine.connect() as conn:
        standing = await alerts.standing(conn, alerts.INSTALLATION)
    assert AlertKind.SUBACCOUNT_UNKNOWN not in {each.kind for each in standing}
