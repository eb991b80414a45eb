"""Campaigns through the API: created once, started and resumed only if the organization may send,
paused until a person resumes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event

from tests.integration.conftest import Tollgate

CAMPAIGNS = "/v1/organizations/acme/campaigns"
NUMBERS = ["+14155550100", "+14155550101", "+14155550102"]


def campaign(**changed: object) -> dict[str, object]:
    return {"name": "Autumn", "body": "20 % off today.", "recipients": NUMBERS} | changed


async def created(tollgate: Tollgate, key: str = "k1", **changed: object) -> str:
    answer = await tollgate.post(CAMPAIGNS, campaign(**changed), key=key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def act(tollgate: Tollgate, id_: str, action: str) -> tuple[int, str]:
    answer = await tollgate.post(f"{CAMPAIGNS}/{id_}/{action}")
    return answer.status_code, str(answer.json().get("status"))


async def test_a_campaign_is_created_once_per_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    first = await tollgate.post(CAMPAIGNS, campaign(recipients=[*NUMBERS, NUMBERS[0]]), key="k1")
    again = await tollgate.post(CAMPAIGNS, campaign(recipients=[*NUMBERS, NUMBERS[0]]), key="k1")
    other = await tollgate.post(CAMPAIGNS, campaign(), key="k1")
    missing = await tollgate.post(CAMPAIGNS, campaign())

    assert [response.status_code for response in (first, again, other, missing)] == [
        201,
        200,
        409,
        422,
    ]
    assert first.json() == again.json()
    assert (first.json()["total"], first.json()["duplicates_dropped"], first.json()["status"]) == (
        3,
        1,
        "draft",
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"body": "  "}, "body"),
        ({"body": "x" * 1601}, "body"),
        ({"body": "a\0"}, "body"),
        ({"name": ""}, "name"),
        ({"recipients": ["+14155550100", "4155550101"]}, "recipients.1"),
        ({"recipients": ["+14155550100", "+1415"]}, "recipients.1"),
        ({"recipients": ["+14155550100", "+2101234567890"]}, "recipients.1"),
        ({"recipients": [7]}, "recipients.0"),
        ({"recipients": ["+1415555010\u0660"]}, "recipients.0"),
    ],
)
async def test_a_wrong_campaign_names_the_field(
    tollgate: Tollgate, changed: dict[str, object], field: str
) -> None:
    await tollgate.onboard()

    answer = await tollgate.post(CAMPAIGNS, campaign(**changed), key="k1")

    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_a_hundred_thousand_recipients_are_taken(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    many = [f"+1415{number:07d}" for number in range(2_000_000, 2_100_000)]

    answer = await tollgate.post(CAMPAIGNS, campaign(recipients=many), key="k1", timeout=60)
    more = await tollgate.post(
        CAMPAIGNS, campaign(recipients=[*many, "+14155550100"]), key="k2", timeout=60
    )

    assert (answer.status_code, answer.json()["total"]) == (201, 100_000)
    assert (more.status_code, more.json()["errors"][0]["field"]) == (422, "recipients")


async def test_start_pause_and_resume_can_be_repeated(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await created(tollgate)

    before = await act(tollgate, id_, "pause"), await act(tollgate, id_, "resume")
    answers = [
        await act(tollgate, id_, action)
        for action in ("start", "start", "pause", "pause", "start", "resume")
    ]

    assert [status for status, _ in before] == [409, 409]
    assert answers == [
        (200, "running"),
        (200, "running"),
        (200, "paused"),
        (200, "paused"),
        (409, "409"),
        (200, "running"),
    ]


async def test_a_start_is_refused_with_the_reasons_and_charges_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await created(tollgate)
    await tollgate.post("/v1/organizations/acme/suspend", {"reason": "x"})

    answer = await tollgate.post(f"{CAMPAIGNS}/{id_}/start")
    shown = (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()

    assert answer.status_code == 423
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["admin"]
    assert (shown["status"], shown["counts"]["pending"]) == ("draft", 3)
    assert (await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"] == "10.00"


async def test_a_start_without_money_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    id_ = await created(tollgate)

    answer = await tollgate.post(f"{CAMPAIGNS}/{id_}/start")

    assert answer.status_code == 402
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["insufficient_funds"]


async def test_a_freeze_parks_what_runs_and_an_unfreeze_lets_it_go_on(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.subscribe()
    running, paused = await created(tollgate, "k1"), await created(tollgate, "k2")
    for id_ in (running, paused):
        await act(tollgate, id_, "start")
    await act(tollgate, paused, "pause")

    await tollgate.post("/v1/organizations/acme/wallet/freeze", {"reason": "fraud suspected"})
    frozen = (await tollgate.get(CAMPAIGNS)).json()["data"]
    refused = await act(tollgate, running, "resume")
    await tollgate.post("/v1/organizations/acme/wallet/unfreeze")
    after = (await tollgate.get(CAMPAIGNS)).json()["data"]

    assert {entry["id"]: (entry["status"], entry["reason"]) for entry in frozen} == {
        running: ("parked", "frozen"),
        paused: ("paused", "paused by a person"),
    }
    assert refused[0] == 423
    assert {entry["id"]: entry["status"] for entry in after} == {
        running: "running",
        paused: "paused",
    }


async def test_a_campaign_that_waits_for_money_goes_on_when_it_comes(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.subscribe()
    id_ = await created(tollgate)
    await act(tollgate, id_, "start")
    await tollgate.post("/v1/organizations/acme/wallet/freeze", {"reason": "x"})
    await tollgate.debit("10.00", "all")
    await tollgate.post("/v1/organizations/acme/wallet/unfreeze")
    await tollgate.debit("10.00", "all")
    parked = (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()

    await tollgate.credit("5.00", "more")

    assert parked["next_position"] == 1
    assert (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()["status"] == "running"


async def test_campaigns_are_listed_page_by_page(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    ids = [await created(tollgate, f"k{number}") for number in range(3)]

    first = (await tollgate.get(CAMPAIGNS, params={"limit": 2})).json()
    second = (
        await tollgate.get(CAMPAIGNS, params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()

    assert [entry["id"] for entry in first["data"] + second["data"]] == ids[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("id_", ["x", "00000000-0000-0000-0000-000000000000"])
async def test_an_unknown_campaign_is_404(tollgate: Tollgate, id_: str) -> None:
    await tollgate.onboard()

    answers = [
        await tollgate.get(f"{CAMPAIGNS}/{id_}"),
        *[
            await tollgate.post(f"{CAMPAIGNS}/{id_}/{action}")
            for action in ("start", "pause", "resume")
        ],
    ]

    assert [response.status_code for response in answers] == [404] * 4


async def test_quiet_hours_are_kept_and_belong_to_the_request(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    night = {"begins": "21:00:00", "ends": "08:00:00"}

    response = await tollgate.post(CAMPAIGNS, campaign(quiet_hours=night), key="k1")
    again = await tollgate.post(CAMPAIGNS, campaign(quiet_hours=night), key="k1")
    other = await tollgate.post(CAMPAIGNS, campaign(), key="k1")

    assert (response.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert response.json()["quiet_hours"] == night


@pytest.mark.parametrize("hours", [("08:00", "08:00"), ("08:00", "20:01"), ("nine", "08:00")])
async def test_quiet_hours_that_are_none_are_refused(
    tollgate: Tollgate, hours: tuple[str, str]
) -> None:
    await tollgate.onboard()

    answer = await tollgate.post(
        CAMPAIGNS, campaign(quiet_hours={"begins": hours[0], "ends": hours[1]}), key="k1"
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("quiet_hours")


@pytest.mark.parametrize("at", ["2026-12-24T08:00:00", "tomorrow", 0.5])
async def test_a_start_needs_a_time_with_its_zone(tollgate: Tollgate, at: object) -> None:
    await tollgate.onboard()
    id_ = await created(tollgate)

    answer = await tollgate.post(f"{CAMPAIGNS}/{id_}/start", {"at": at})

    assert answer.status_code == 422
    assert (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()["status"] == "draft"


async def test_a_page_of_campaigns_takes_no_more_statements_than_a_page_of_one(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await created(tollgate, "k0")
    with statements() as of_one:
        await tollgate.get(CAMPAIGNS)
    for number in range(1, 5):
        await created(tollgate, f"k{number}")

    with statements() as of_five:
        page = (await tollgate.get(CAMPAIGNS)).json()["data"]

    assert [campaign["next_position"] for campaign in page] == [1] * 5
    assert len(of_five) == len(of_one)


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is executed until the block ends about messages: nothing else reads them meanwhile."""
    executed: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "messages" in statement:
            executed.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(Engine, "before_cursor_execute", note)
