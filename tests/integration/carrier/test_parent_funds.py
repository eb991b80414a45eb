"""The parent's balance: read at Twilio, shown as a metric, an alert a week and a day before its end."""

from datetime import UTC, datetime

import pytest

from activities.carrier.parent_funds import ParentFunds
from db import alerts
from providers.errors import ProviderError
from providers.twilio import Twilio
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from tests.integration.conftest import Tollgate
from tests.integration.http.test_metrics import scraped, value

SECOND, TOKEN = "AC" + "2" * 32, "2" * 32


async def turn() -> None:
    """Without a limit."""


def parent_funds(tollgate: Tollgate, **further: str) -> ParentFunds:
    twilio = Twilio(
        client=tollgate.to_twilio,
        account_sid=MAIN_SID,
        auth_token=MAIN_TOKEN,
        base_url=tollgate.twilio.url,
        further=further,
    )
    return ParentFunds(tollgate.services.engine, twilio, turn)


@pytest.fixture(autouse=True)
def balance(tollgate: Tollgate) -> None:
    tollgate.twilio.state.behaviour.balance = "100.00"


async def read(tollgate: Tollgate, **further: str) -> dict[str, str]:
    """The alerts about it afterwards."""
    await parent_funds(tollgate, **further).read(now=datetime.now(UTC))
    async with tollgate.services.engine.connect() as conn:
        standing = await alerts.standing(conn, alerts.INSTALLATION)
    return {alert.kind: alert.detail for alert in standing if alert.kind.startswith("balance")}


def spend(tollgate: Tollgate, micros: int) -> None:
    books = tollgate.twilio.state.books
    sub = tollgate.twilio.state.open_account("spends")
    books.book(sub.sid, "sms-outbound-longcode", micros, source="")


async def test_an_account_that_spends_nothing_lasts(tollgate: Tollgate) -> None:
    assert await read(tollgate) == {}
    series = await scraped(tollgate)

    assert value(series, "twilio_balance", account=MAIN_SID, currency="USD") == 100
    assert value(series, "twilio_balance_days", account=MAIN_SID) is None


async def test_the_alert_of_a_week_becomes_that_of_a_day_and_clears_with_new_money(
    tollgate: Tollgate,
) -> None:
    behaviour = tollgate.twilio.state.behaviour
    spend(tollgate, 70_000_000)  # ten a day or a little more, by its time
    behaviour.balance = "100.00"
    week = await read(tollgate)
    days = value(await scraped(tollgate), "twilio_balance_days", account=MAIN_SID)
    behaviour.balance = "75.00"
    day = await read(tollgate)
    behaviour.balance = "70.00"
    empty = await read(tollgate)
    behaviour.balance = "1000.00"
    filled = await read(tollgate)

    assert list(week) == ["balance_low"]
    assert "30.00 USD" in week["balance_low"]
    assert days is not None
    assert 2.5 <= days <= 3.0
    assert list(day) == ["balance_last_day"]
    assert "lasts 0.0 days" in empty["balance_last_day"]
    assert filled == {}


async def test_each_parent_account_is_read_with_its_own_credentials(tollgate: Tollgate) -> None:
    tollgate.twilio.state.open_parent(SECOND, TOKEN)
    spend(tollgate, 99_000_000)

    found = await read(tollgate, **{SECOND: TOKEN})
    series = await scraped(tollgate)

    assert MAIN_SID in found["balance_last_day"]
    assert SECOND not in found["balance_last_day"]
    assert value(series, "twilio_balance", account=SECOND, currency="USD") == 100


async def test_a_parent_that_does_not_answer_keeps_what_is_known_and_holds_up_no_other(
    tollgate: Tollgate,
) -> None:
    tollgate.twilio.state.open_parent(SECOND, TOKEN)
    await read(tollgate, **{SECOND: TOKEN})
    path = f"/2010-04-01/Accounts/{MAIN_SID}/Balance.json"
    tollgate.twilio.faults.add("503", path=path)
    tollgate.twilio.state.behaviour.balance = "55.00"

    await read(tollgate, **{SECOND: TOKEN})
    series = await scraped(tollgate)

    assert value(series, "twilio_balance", account=MAIN_SID, currency="USD") == 100
    assert value(series, "twilio_balance", account=SECOND, currency="USD") == 55


async def test_a_parent_that_is_no_longer_set_up_is_forgotten(tollgate: Tollgate) -> None:
    tollgate.twilio.state.open_parent(SECOND, TOKEN)
    await read(tollgate, **{SECOND: TOKEN})

    await read(tollgate)

    series = await scraped(tollgate)
    assert value(series, "twilio_balance", account=SECOND, currency="USD") is None


async def test_when_no_parent_answers_it_is_tried_again(tollgate: Tollgate) -> None:
    tollgate.twilio.faults.add("503", path="/2010-04-01/Accounts/.*/Balance.json")

    with pytest.raises(Exception, match="503") as problem:
        await parent_funds(tollgate).read(now=datetime.now(UTC))

    assert isinstance(problem.value.__cause__, ProviderError)


async def test_a_parent_that_twilio_suspended_is_an_alert_until_it_is_active_again(
    tollgate: Tollgate,
) -> None:
    tollgate.twilio.state.behaviour.balance = "0"
    await read(tollgate)
    async with tollgate.services.engine.connect() as conn:
        stopped = {
            each.kind: each.detail for each in await alerts.standing(conn, alerts.INSTALLATION)
        }
    tollgate.twilio.state.behaviour.balance = "20.00"
    await read(tollgate)
    async with tollgate.services.engine.connect() as conn:
        after = {each.kind for each in await alerts.standing(conn, alerts.INSTALLATION)}

    assert f"{MAIN_SID} as suspended, with 0.00 USD left" in stopped["parent_suspended"]
    assert "parent_suspended" not in after
