"""Onboarding, manual suspension and reinstatement, and explanations."""

from db import alerts
from db.api_keys import Scope
from domain.alerts import AlertKind
from tests.integration.conftest import Tollgate, organization

ACME = "/v1/organizations/acme"


async def test_onboarding_again_is_answered_again_and_other_content_is_a_conflict(
    tollgate: Tollgate,
) -> None:
    wanted = organization("acme", await tollgate.account())

    answers = [
        await tollgate.post("/v1/organizations", body)
        for body in (
            wanted,
            wanted,
            wanted | {"name": "Other"},
            wanted | {"price_per_segment": "0.02"},
        )
    ]

    assert [response.status_code for response in answers] == [201, 200, 409, 409]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["grace_period_seconds"] == 259200


async def test_a_subaccount_belongs_to_one_organization(tollgate: Tollgate) -> None:
    await tollgate.onboard("acme")

    answer = await tollgate.post(
        "/v1/organizations", organization("rival", tollgate.accounts["acme"])
    )

    assert answer.status_code == 409


async def test_onboarding_waits_for_twilio(tollgate: Tollgate) -> None:
    wanted = organization("acme", await tollgate.account())
    await tollgate.http.post(f"{tollgate.twilio.url}/_sim/faults", json={"kind": "down"})

    answer = await tollgate.post("/v1/organizations", wanted)

    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_organizations_are_listed_page_by_page(tollgate: Tollgate) -> None:
    for id_ in ("c", "a", "b"):
        await tollgate.onboard(id_, balance=None)

    first = (await tollgate.get("/v1/organizations", params={"limit": 2})).json()
    second = (
        await tollgate.get("/v1/organizations", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()

    assert [entry["id"] for entry in first["data"] + second["data"]] == [
        "a",
        "b",
        "c",
    ]
    assert second["next_cursor"] is None


async def test_a_suspension_by_hand_holds_from_its_answer_on(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    suspended = await tollgate.post(f"{ACME}/suspend", {"reason": "abuse report 4711"})
    refused = await tollgate.debit("1.00", "d")
    again = await tollgate.post(f"{ACME}/suspend", {"reason": "abuse report 4711"})
    blocks = (await tollgate.get(f"{ACME}/blocks")).json()["data"]

    assert suspended.json()["status"] == "suspended"
    assert refused.status_code == 423
    assert [reason["code"] for reason in refused.json()["reasons"]] == ["admin"]
    assert again.json()["epoch"] == suspended.json()["epoch"]
    [block] = blocks
    assert (block["kind"], block["held"], block["reason"]) == ("admin", True, "abuse report 4711")
    assert block["placed_by"].startswith("operator (key_")


async def test_a_reinstated_organization_waits_for_its_steps(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})

    reinstated = await tollgate.post(f"{ACME}/reinstate")
    answer = (await tollgate.get(f"{ACME}/can-send")).json()

    assert reinstated.json()["status"] == "active"
    assert [reason["code"] for reason in answer["reasons"]] == ["reactivating"]
    assert (await tollgate.debit("1.00", "d")).status_code == 423


async def test_reinstating_does_not_lift_what_the_subscription_says(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend", by="nonpayment")
    await tollgate.deliver_event(event_id)

    answer = await tollgate.post(f"{ACME}/reinstate")

    assert answer.json()["status"] == "suspended"
    assert [block["code"] for block in answer.json()["blocks"]] == ["nonpayment"]


async def test_only_blocks_that_stand_by_themselves_can_be_lifted(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})

    refused = await tollgate.ask("DELETE", f"{ACME}/blocks/nonpayment")
    lifted = await tollgate.ask("DELETE", f"{ACME}/blocks/admin")
    again = await tollgate.ask("DELETE", f"{ACME}/blocks/admin")
    dispute = await tollgate.ask("DELETE", f"{ACME}/blocks/dispute/PP-D-1")
    nobody = await tollgate.ask("DELETE", "/v1/organizations/nobody/blocks/admin")

    assert refused.status_code == 422
    assert (lifted.status_code, lifted.json()["status"]) == (200, "active")
    assert (again.status_code, dispute.status_code, nobody.status_code) == (404, 404, 404)
    assert again.json()["detail"] == "there is no such block"
    assert nobody.json()["detail"] == "there is no such organization"


async def test_explain_tells_the_story_to_a_reader(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend", by="nonpayment")
    await tollgate.deliver_event(event_id)

    explanation = (await tollgate.get(f"{ACME}/explain", scope=Scope.READ)).json()

    story = "\n".join(explanation["story"])
    assert "acme is suspended and cannot send." in story
    assert "the subscription is not paid" in story
    assert "The wallet holds 10.00 USD; its gate is shut" in story
    assert (explanation["can_send"], explanation["standing"]["applied"]) == (False, False)
    assert explanation["deliveries"][0]["event_id"] == event_id
    assert explanation["receipts"][0]["status"] == "suspended"
    assert explanation["subscriptions"][0]["status"] == "suspended_nonpayment"


async def test_receipts_are_listed_newest_first(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})
    await tollgate.post(f"{ACME}/reinstate")

    found = (await tollgate.get(f"{ACME}/receipts")).json()["data"]
    newest = (await tollgate.get(f"{ACME}/receipts", params={"limit": 1})).json()
    older = await tollgate.get(f"{ACME}/receipts", params={"cursor": newest["next_cursor"]})

    assert [receipt["status"] for receipt in found] == ["active", "suspended"]
    assert newest["data"] == found[:1]
    assert older.json() == {"data": found[1:], "next_cursor": None}


async def test_an_alert_that_a_person_has_settled_is_closed_by_an_operator(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    async with tollgate.services.engine.begin() as conn:
        await alerts.raise_(conn, "acme", AlertKind.REFUND, "refund R-1 of a subscription payment")
    before = await tollgate.get(f"{ACME}/alerts")

    refused = await tollgate.ask("DELETE", f"{ACME}/alerts/refund", scope=Scope.WRITE)
    answers = [await tollgate.ask("DELETE", f"{ACME}/alerts/refund") for _ in range(2)]

    assert [(entry["kind"], entry["times"]) for entry in before.json()["data"]] == [("refund", 1)]
    assert refused.status_code == 403
    assert [response.status_code for response in answers] == [204, 404]
    assert (await tollgate.get(f"{ACME}/alerts")).json() == {"data": [], "next_cursor": None}
    assert (await tollgate.get("/v1/organizations/nobody/alerts")).status_code == 404
