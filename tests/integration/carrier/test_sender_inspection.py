"""A messaging service is inspected when it is set and each day: one that sends RCS first costs more."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from activities.carrier.sender_inspection import SenderInspection
from db.api_keys import Scope
from db.campaigns import reservations
from simulators.twilio.state import Account
from tests.integration.conftest import Tollgate, organization

SERVICE = "MG" + "1" * 32
ACME = "/v1/organizations/acme"
NOTIFIED: list[str] = []


def pool(account: Account, *senders: str) -> None:
    account.services[SERVICE] = list(senders)


def account_of(tollgate: Tollgate, organization_id: str = "acme") -> Account:
    return tollgate.twilio.state.accounts[tollgate.accounts[organization_id]]


async def set_sender(tollgate: Tollgate, sender: str = SERVICE) -> tuple[int, str]:
    answer = await tollgate.ask("PATCH", ACME, {"sender": sender})
    problems = answer.json().get("errors", [])
    return answer.status_code, problems[0]["message"] if problems else ""


async def inspect_all(tollgate: Tollgate) -> tuple[int, dict[str, str]]:
    """One pass: how many were inspected, and the alerts afterwards."""

    async def turn() -> None:
        """Without a limit."""

    async def notify(_organization_id: str, campaign_id: UUID) -> None:
        NOTIFIED.append(str(campaign_id))

    NOTIFIED.clear()
    services = tollgate.services
    inspection = SenderInspection(services.engine, services.twilio, notify, turn)
    after: str | None = ""
    inspected = 0
    while after is not None:
        after, number, _ = await inspection.step(after)
        inspected += number
    listed = (await tollgate.get(f"{ACME}/alerts")).json()["data"]
    return inspected, {alert["kind"]: alert["detail"] for alert in listed}


async def test_a_service_with_an_rcs_sender_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    pool(account_of(tollgate), "+15550001111", "rcs:acme_agent")
    status, problem = await set_sender(tollgate)

    assert (status, "rcs:acme_agent" in problem) == (422, True)
    assert (await tollgate.get(ACME)).json()["sender"] != SERVICE


async def test_it_is_refused_when_the_organization_is_created(tollgate: Tollgate) -> None:
    sid = await tollgate.account(friendly_name="acme")
    pool(tollgate.twilio.state.accounts[sid], "rcs:acme_agent")
    created = await tollgate.post(
        "/v1/organizations", organization("acme", sid) | {"sender": SERVICE}
    )

    assert created.status_code == 422
    assert created.json()["errors"][0]["field"] == "sender"


async def test_a_service_that_sends_sms_only_is_taken(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    pool(account_of(tollgate), "+15550001111", "12345", "ACME", "whatsapp:+15550001111")

    assert await set_sender(tollgate) == (200, "")


async def test_an_rcs_sender_that_is_added_later_is_an_alert_until_it_is_gone(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await tollgate.onboard("other")
    pool(account_of(tollgate), "+15550001111")
    await set_sender(tollgate)
    clean = await inspect_all(tollgate)
    pool(account_of(tollgate), "+15550001111", "rcs:acme_agent")
    added = await inspect_all(tollgate)
    pool(account_of(tollgate), "+15550001111")
    removed = await inspect_all(tollgate)

    assert clean == (1, {})
    assert list(added[1]) == ["sender_sends_rcs"]
    assert removed == (1, {})


async def dangerous(tollgate: Tollgate) -> str:
    """A running campaign of an organization whose service gets an RCS sender after it was set."""
    await tollgate.onboard()
    await tollgate.subscribe()
    pool(account_of(tollgate), "+15550001111")
    await set_sender(tollgate)
    body = {"name": "n", "body": "Hello", "recipients": ["+14155550100", "+14155550101"]}
    made = await tollgate.post(f"{ACME}/campaigns", body, key="k")
    id_ = str(made.json()["id"])
    await tollgate.post(f"{ACME}/campaigns/{id_}/start")
    pool(account_of(tollgate), "+15550001111", "rcs:acme_agent")
    await inspect_all(tollgate)
    return id_


async def campaign(tollgate: Tollgate, id_: str) -> tuple[str, str]:
    shown = (await tollgate.get(f"{ACME}/campaigns/{id_}")).json()
    return shown["status"], shown["reason"]


async def test_what_a_service_may_send_unpaid_parks_campaigns_and_refuses_messages(
    tollgate: Tollgate,
) -> None:
    id_ = await dangerous(tollgate)
    notified = list(NOTIFIED)
    parked = await campaign(tollgate, id_)
    waits = (await tollgate.get(f"{ACME}/campaigns/{id_}")).json()["waiting"]
    single = await tollgate.post(
        f"{ACME}/messages", {"to": "+14155550100", "body": "Hello"}, key="m"
    )
    await tollgate.post(f"{ACME}/campaigns/{id_}/resume")
    async with tollgate.services.engine.begin() as conn:
        batch = await reservations.reserve(conn, "acme", UUID(id_), limit=10, now=datetime.now(UTC))
    pool(account_of(tollgate), "+15550001111")
    await inspect_all(tollgate)

    assert notified == [id_]
    assert parked == ("parked", "sender_costs_more")
    assert "rcs:acme_agent" in waits["message"]
    assert (single.status_code, single.json()["code"]) == (409, "sender_costs_more")
    assert batch is not None
    assert (batch.status, batch.reason, batch.reserved) == ("parked", "sender_costs_more", 0)
    assert [id_] == NOTIFIED
    assert await campaign(tollgate, id_) == ("running", "")
    assert (await tollgate.get(f"{ACME}/wallet")).json()["balance"] == "10.00"


async def test_what_is_known_of_a_sender_outlasts_a_suspension_in_which_twilio_does_not_answer(
    tollgate: Tollgate,
) -> None:
    id_ = await dangerous(tollgate)
    account_of(tollgate).status = "suspended"

    found = await inspect_all(tollgate)

    assert list(found[1]) == ["sender_sends_rcs"]
    assert await campaign(tollgate, id_) == ("parked", "sender_costs_more")


@pytest.mark.parametrize(
    ("change", "scope"),
    [
        ({"price_per_rcs_message": "0.00"}, Scope.OPERATOR),
        ({"price_per_rcs_message": "0.03"}, Scope.WRITE),
        ({"sender": "+15550001111"}, Scope.WRITE),
    ],
)
async def test_campaigns_go_on_when_the_cost_is_accepted_or_priced_or_avoided(
    tollgate: Tollgate, change: dict[str, str], scope: Scope
) -> None:
    id_ = await dangerous(tollgate)

    changed = await tollgate.ask("PATCH", ACME, change, scope=scope)
    found = await inspect_all(tollgate)

    assert changed.status_code == 200, changed.text
    assert changed.json()["sender_problem"] is None
    assert await campaign(tollgate, id_) == ("running", "")
    assert found[1] == {}


async def test_only_an_operator_accepts_what_nobody_pays_beforehand(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    answer = await tollgate.ask("PATCH", ACME, {"price_per_rcs_message": "0"}, scope=Scope.WRITE)
    sid = await tollgate.account(friendly_name="other")
    wanted = organization("other", sid) | {"price_per_rcs_message": "0"}
    created = await tollgate.ask("POST", "/v1/organizations", wanted, scope=Scope.WRITE)

    assert (answer.status_code, created.status_code) == (403, 403)


async def test_where_rcs_has_a_price_a_service_is_taken_and_every_message_costs_at_least_that(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(price_per_rcs_message="0.025")
    pool(account_of(tollgate), "+15550001111", "rcs:acme_agent")
    taken = await set_sender(tollgate)
    prices = []
    for segments, key in ((1, "short"), (3, "long")):
        body = "x" * (160 if segments == 1 else 400)
        sent = await tollgate.post(
            f"{ACME}/messages", {"to": "+14155550100", "body": body}, key=key
        )
        prices.append(sent.json()["price"])
    without = await tollgate.ask("PATCH", ACME, {"price_per_rcs_message": None})

    assert taken == (200, "")
    assert prices == ["0.025", "0.03"]
    assert without.status_code == 422
    assert "rcs:acme_agent" in without.json()["errors"][0]["message"]


async def test_another_sender_ends_the_alert(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    pool(account_of(tollgate), "+15550001111")
    await set_sender(tollgate)
    pool(account_of(tollgate), "rcs:acme_agent")
    await inspect_all(tollgate)

    assert await set_sender(tollgate, "+15550001111") == (200, "")
    assert await inspect_all(tollgate) == (0, {})


async def test_what_twilio_does_not_say_of_a_suspended_subaccount_is_asked_the_next_day(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    pool(account_of(tollgate), "rcs:acme_agent")
    account_of(tollgate).status = "suspended"
    accepted = await set_sender(tollgate)
    account_of(tollgate).status = "active"

    assert accepted == (200, "")
    assert list((await inspect_all(tollgate))[1]) == ["sender_sends_rcs"]


async def test_while_twilio_does_not_answer_no_service_is_set(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    tollgate.twilio.faults.add("503", path="/v1/Services")

    assert (await set_sender(tollgate))[0] == 503
