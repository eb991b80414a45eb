"""A messaging service is inspected when it is set and each day: one that sends RCS first costs more."""

from activities.carrier.sender_inspection import SenderInspection
from simulators.twilio.state import Account
from tests.integration.conftest import Tollgate, organization

SERVICE = "MG" + "1" * 32
ACME = "/v1/organizations/acme"


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

    services = tollgate.services
    inspection = SenderInspection(services.engine, services.twilio, turn)
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
