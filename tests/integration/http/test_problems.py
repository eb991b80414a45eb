"""Problem documents: one code for each cause, and the same response wherever the same cause occurs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
MESSAGE = {"to": "+14155550100", "body": "Hello"}
CAMPAIGN = {"name": "News", "body": "Hello", "recipients": ["+14155550100"]}
SHARED = ("type", "title", "status", "detail", "code", "reasons")


def taken(reference: str, amount: str = "1.00") -> dict[str, str]:
    return {"reference_id": reference, "amount": amount, "currency": "USD"}


def hold(reference: str) -> dict[str, str]:
    expires_at = datetime.now(UTC) + timedelta(days=1)
    return {**taken(reference), "expires_at": expires_at.isoformat()}


async def doors(tollgate: Tollgate) -> dict[str, httpx.Response]:
    """Every operation that spends or begins to send, for a prepared organization."""
    campaigns = [
        (await tollgate.post(f"{ACME}/campaigns", CAMPAIGN, key=f"campaign-{place}")).json()["id"]
        for place in range(2)
    ]
    return {
        "debit": await tollgate.debit("1.00", "debit"),
        "hold": await tollgate.post(f"{ACME}/wallet/holds", hold("hold")),
        "message": await tollgate.post(f"{ACME}/messages", MESSAGE, key="message"),
        "campaign": await tollgate.post(f"{ACME}/campaigns/{campaigns[0]}/start"),
        "campaign, by a time that is past": await tollgate.post(
            f"{ACME}/campaigns/{campaigns[1]}/start", {"at": "2020-01-01T00:00:00Z"}
        ),
    }


def problem(answer: httpx.Response) -> dict[str, Any]:
    document: Mapping[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["x-request-id"]
    return {name: document.get(name) for name in SHARED}


async def test_a_suspended_organization_is_answered_the_same_at_every_door(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{ACME}/wallet/holds", hold("before"))
    paused = (await tollgate.post(f"{ACME}/campaigns", CAMPAIGN, key="paused")).json()["id"]
    await tollgate.post(f"{ACME}/campaigns/{paused}/start")
    await tollgate.post(f"{ACME}/campaigns/{paused}/pause")
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})

    answers = await doors(tollgate)
    answers["capture"] = await tollgate.post(f"{ACME}/wallet/holds/before/capture")
    answers["campaign that was paused"] = await tollgate.post(f"{ACME}/campaigns/{paused}/resume")
    listed = await tollgate.post(f"{ACME}/wallet/debits", [taken("listed")])
    can_send = (await tollgate.get(f"{ACME}/can-send")).json()

    expected = {
        "type": "urn:tollgate:problem:suspended",
        "title": "The organization is suspended",
        "status": 423,
        "detail": "an operator suspended the organization",
        "code": "suspended",
        "reasons": [{"code": "admin", "message": "an operator suspended the organization"}],
    }
    assert {door: problem(answer) for door, answer in answers.items()} == dict.fromkeys(
        answers, expected
    )
    [outcome] = listed.json()["outcomes"]
    assert {name: outcome["problem"][name] for name in SHARED} == expected
    assert can_send == {"can_send": False, "reasons": expected["reasons"]}


async def test_a_frozen_wallet_is_answered_the_same_at_every_door(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{ACME}/wallet/freeze", {"reason": "x"})

    answers = await doors(tollgate)

    assert {
        door: (answer.status_code, answer.json()["code"], answer.json()["reasons"])
        for door, answer in answers.items()
    } == dict.fromkeys(
        answers,
        (423, "frozen", [{"code": "frozen", "message": "an operator froze the wallet"}]),
    )


async def test_an_empty_wallet_is_answered_the_same_at_every_door(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)

    answers = await doors(tollgate)

    assert {door: problem(answer) for door, answer in answers.items()} == dict.fromkeys(
        answers, problem(answers["debit"])
    )
    assert (answers["debit"].status_code, answers["debit"].json()["code"]) == (
        402,
        "insufficient_funds",
    )


async def test_each_status_that_refuses_an_act_of_a_campaign_has_its_code(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    id_ = (await tollgate.post(f"{ACME}/campaigns", CAMPAIGN, key="one")).json()["id"]
    empty = (
        await tollgate.post(f"{ACME}/campaigns", {**CAMPAIGN, "recipients": []}, key="empty")
    ).json()["id"]
    canceled = (await tollgate.post(f"{ACME}/campaigns", CAMPAIGN, key="canceled")).json()["id"]
    await tollgate.post(f"{ACME}/campaigns/{canceled}/cancel")
    acts = [("pause", id_), ("resume", id_), ("start", empty), ("start", canceled)]

    answers = [await tollgate.post(f"{ACME}/campaigns/{of}/{act}") for act, of in acts]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (409, "campaign_not_pausable"),
        (409, "campaign_not_resumable"),
        (409, "campaign_empty"),
        (409, "campaign_not_startable"),
    ]


async def test_each_field_that_is_wrong_has_a_code_of_its_cause(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    bodies: list[tuple[dict[str, object], str, str]] = [
        ({"amount": "1.00"}, "currency", "missing"),
        ({**taken("a"), "more": 1}, "more", "unknown_field"),
        ({**taken("a"), "description": 1}, "description", "wrong_type"),
        ({**taken("a"), "amount": "1.0000001"}, "amount", "invalid_value"),
        ({**taken("a"), "currency": "EUR"}, "currency", "wrong_currency"),
    ]

    answers = [await tollgate.post(f"{ACME}/wallet/debits", body) for body, _, _ in bodies]

    assert [
        (
            answer.status_code,
            answer.json()["code"],
            answer.json()["errors"][0]["field"],
            answer.json()["errors"][0]["code"],
        )
        for answer in answers
    ] == [(422, "invalid", field, code) for _, field, code in bodies]
