"""A rate below Twilio's price is refused unless that is wanted, and an alert when Twilio's rises."""

from datetime import UTC, datetime

import pytest

from activities.audit.budgets import Budgets
from activities.audit.passes import Pass
from activities.audit.rates_pass import RatesPass
from activities.carrier.country_prices import CountryPrices
from db import alerts
from domain.alerts import AlertKind
from domain.audit.reconciliation import Subject
from providers.twilio import Twilio
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from tests.builders import rows
from tests.integration.conftest import Tollgate, organization

OWN = "/v1/organizations/acme/rates"
EVERYBODY = "/v1/rates"
DEAREST = "26203"


def dear(tollgate: Tollgate, germany: str = "0.11", **networks: str) -> None:
    tollgate.twilio.state.rates.change({"countries": {"DE": germany}, "networks": networks})


async def put(tollgate: Tollgate, path: str, price: str, **more: object) -> tuple[int, str]:
    """The status, and what is wrong."""
    body = {"price_per_segment": price, **more}
    if path.startswith(EVERYBODY):
        body["currency"] = more.get("currency", "USD")
    answer = await tollgate.ask("PUT", path, body)
    problems = answer.json().get("errors", [])
    return answer.status_code, problems[0]["field"] if problems else ""


async def read_again(
    tollgate: Tollgate, kind: AlertKind = AlertKind.RATE_BELOW_COST, twilio: Twilio | None = None
) -> dict[str, str]:
    """The daily pass; the alerts of the kind afterwards, by organization."""

    async def turn() -> None:
        """Without a limit."""

    services = tollgate.services
    prices = CountryPrices(services.engine, twilio or services.twilio, turn)
    after: str | None = ""
    while after is not None:
        after = await prices.read(after, now=datetime.now(UTC))
    assert await prices.compare("") == (None, len(tollgate.accounts))
    async with services.engine.connect() as conn:
        standing = await alerts.standing(conn)
    return {alert.organization_id: alert.detail for alert in standing if alert.kind == kind}


async def test_a_rate_below_twilios_price_is_refused_unless_it_may_be(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    dear(tollgate)

    refused = await put(tollgate, f"{OWN}/DE", "0.1099")
    covered = await put(tollgate, f"{OWN}/DE", "0.11")
    wanted = await put(tollgate, f"{EVERYBODY}/DE", "0.05", below_cost=True)
    rate = (await tollgate.get(f"{OWN}/DE")).json()

    assert refused == (422, "price_per_segment")
    assert (covered, wanted) == ((200, ""), (200, ""))
    assert (rate["cost"], rate["below_cost"], rate["network"]) == ("0.11", False, None)


async def test_the_dearest_network_counts_unless_one_is_given(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    dear(tollgate, "0.08", **{DEAREST: "0.12"})

    assert await put(tollgate, f"{OWN}/DE", "0.10") == (422, "price_per_segment")
    assert await put(tollgate, f"{OWN}/DE", "0.10", network="26201") == (200, "")
    assert await put(tollgate, f"{OWN}/DE", "0.10", network=DEAREST) == (422, "price_per_segment")
    assert await put(tollgate, f"{OWN}/DE", "0.10", network="99999") == (422, "network")
    listed = (await tollgate.get(OWN)).json()["data"]
    assert [(rate["network"], rate["cost"]) for rate in listed] == [("26201", "0.08")]


async def test_another_currency_and_a_country_without_a_price_are_not_compared(
    tollgate: Tollgate,
) -> None:
    dear(tollgate)

    assert await put(tollgate, f"{EVERYBODY}/DE", "0.01", currency="EUR") == (200, "")
    assert await put(tollgate, f"{EVERYBODY}/JM", "0.01") == (200, "")
    assert (await tollgate.get(f"{EVERYBODY}/JM?currency=USD")).json()["cost"] is None


async def test_a_price_that_rises_above_a_rate_is_an_alert_until_the_rate_covers_it(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    dear(tollgate, "0.05")
    await put(tollgate, f"{OWN}/DE", "0.06")
    await put(tollgate, f"{EVERYBODY}/DE", "0.07")
    await put(tollgate, f"{EVERYBODY}/US", "0.001", below_cost=True)
    before = await read_again(tollgate)

    dear(tollgate, "0.08")
    risen = await read_again(tollgate)
    await put(tollgate, f"{OWN}/DE", "0.09")
    await tollgate.ask("DELETE", f"{EVERYBODY}/DE?currency=USD")
    resolved = await rows(
        tollgate.services.engine,
        "SELECT FROM alerts WHERE kind = 'rate_below_cost' AND cleared_at IS NULL",
    )

    assert before == {}
    assert risen == {
        "acme": "DE: 0.06 USD for a segment that costs 0.08 USD",
        alerts.INSTALLATION: "DE: 0.07 USD for a segment that costs 0.08 USD",
    }
    assert resolved == []


@pytest.mark.parametrize("times", [1, 2])
async def test_a_known_price_needs_no_call(tollgate: Tollgate, times: int) -> None:
    await tollgate.onboard()
    for _ in range(times):
        await put(tollgate, f"{OWN}/DE", "0.20")

    assert tollgate.twilio.state.calls["GET /v1/Messaging"] == 1


async def test_while_twilio_does_not_answer_an_unknown_price_is_not_guessed(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    tollgate.twilio.faults.add("503", path="/v1/Messaging")

    assert (await put(tollgate, f"{OWN}/DE", "0.20"))[0] == 503
    assert (await put(tollgate, f"{OWN}/DE", "0.20", below_cost=True))[0] == 200


FALLBACK = AlertKind.PRICE_BELOW_COST


async def test_a_price_for_all_other_countries_has_to_cover_each_of_them(
    tollgate: Tollgate,
) -> None:
    dear(tollgate)
    await tollgate.onboard("early")  # before any price is known
    first = await read_again(tollgate, FALLBACK)
    sid = await tollgate.account(friendly_name="acme")
    wanted = organization("acme", sid)
    refused = await tollgate.post("/v1/organizations", wanted)
    created = await tollgate.post("/v1/organizations", wanted | {"price_below_cost": True})
    tollgate.accounts["acme"] = sid
    strict = await tollgate.ask("PATCH", "/v1/organizations/acme", {"price_below_cost": False})
    dearer = await tollgate.ask(
        "PATCH", "/v1/organizations/acme", {"price_below_cost": False, "price_per_segment": "0.11"}
    )
    await put(tollgate, f"{EVERYBODY}/DE", "0.12")
    with_rate = await tollgate.ask(
        "PATCH", "/v1/organizations/acme", {"price_per_segment": "0.0075"}
    )

    assert first == {
        "early": "price_per_segment is 0.01 USD, and Twilio charges up to 0.11 USD for a segment to "
        "DE without a rate"
    }
    assert refused.json()["errors"][0]["field"] == "price_per_segment"
    assert (created.status_code, strict.status_code) == (201, 422)
    assert (dearer.status_code, with_rate.status_code) == (200, 200)
    assert await read_again(tollgate, FALLBACK) == {}


async def test_each_organization_is_compared_with_the_prices_of_its_parent(
    tollgate: Tollgate,
) -> None:
    other, token = "AC" + "2" * 32, "2" * 32
    tollgate.twilio.state.open_parent(other, token)
    tollgate.twilio.state.rates.change({"parents": {other: {"DE": "0.20"}}})
    twilio = Twilio(
        client=tollgate.to_twilio,
        account_sid=MAIN_SID,
        auth_token=MAIN_TOKEN,
        base_url=tollgate.twilio.url,
        further={other: token},
    )
    await tollgate.onboard("acme", price_per_segment="0.1")
    await tollgate.onboard("theirs", price_per_segment="0.1")
    async with tollgate.services.engine.begin() as conn:
        await conn.exec_driver_sql(
            f"UPDATE organizations SET twilio_parent_sid = '{other}' WHERE id = 'theirs'"
        )
    for each in ("acme", "theirs"):
        await put(tollgate, f"/v1/organizations/{each}/rates/DE", "0.15", below_cost=each == "acme")
    await put(tollgate, f"{EVERYBODY}/DE", "0.15")
    risen = await read_again(tollgate, twilio=twilio)
    costs = [
        (await tollgate.get(f"/v1/organizations/{each}/rates/DE")).json()["cost"]
        for each in ("acme", "theirs")
    ]
    await tollgate.ask("DELETE", "/v1/organizations/theirs/rates/DE")
    await tollgate.ask("DELETE", f"{EVERYBODY}/DE?currency=USD")
    fallback = await read_again(tollgate, FALLBACK, twilio)

    assert sorted(risen) == [alerts.INSTALLATION, "theirs"]
    assert "costs 0.20 USD" in risen["theirs"]
    assert costs == ["0.0075", "0.20"]
    assert list(fallback) == ["theirs"]
    assert await read_again(tollgate, FALLBACK) == {}  # that parent is no longer set up


async def test_the_daily_pass_reads_every_country_and_then_compares_every_organization(
    tollgate: Tollgate,
) -> None:
    engine, twilio = tollgate.services.engine, tollgate.services.twilio
    await tollgate.onboard()
    dear(tollgate)
    step = RatesPass(engine, twilio, Budgets(engine)).step
    at = Pass(subject=Subject.RATES, began_at=datetime.now(UTC))
    while not at.done:
        at = await step(at)

    assert at.compared == 1
    assert await rows(engine, "SELECT kind FROM alerts WHERE cleared_at IS NULL") == [
        ("price_below_cost",)
    ]
