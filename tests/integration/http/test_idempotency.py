"""`Idempotency-Key`: the same request counts once, and a replay says so."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.app import create_app
from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
WALLET = f"{ACME}/wallet"
TEN = {"amount": "1.00", "currency": "USD"}
MAKES_NOTHING = {"/v1/organizations/{organization_id}/campaigns/preview"}


def _posts() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in create_app().openapi()["paths"].items():
        if "post" in methods and path.startswith("/v1/") and path not in MAKES_NOTHING:
            yield path, methods["post"]


def replayed(answer: httpx.Response) -> bool:
    assert answer.is_success, answer.text
    return str(answer.headers.get("idempotent-replayed")) == "true"


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


REUSED = (409, "idempotency_key_reused")


def hold(**changed: object) -> dict[str, object]:
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {"amount": "6.00", "currency": "USD", "expires_at": expires_at} | changed


def test_every_post_that_makes_or_moves_something_takes_a_key_and_describes_its_replay() -> None:
    posts = list(_posts())

    for path, operation in posts:
        names = [parameter["name"].lower() for parameter in operation["parameters"]]
        answers = operation["responses"]
        described = [answers[status] for status in ("200", "204") if status in answers]
        assert "idempotency-key" in names, path
        assert "409" in answers, path
        assert all("Idempotent-Replayed" in answer.get("headers", {}) for answer in described), path
    assert len(posts) > 25


@pytest.mark.parametrize("kind", ["credits", "debits"])
async def test_a_posting_by_a_key_is_replayed_and_says_so(tollgate: Tollgate, kind: str) -> None:
    await tollgate.onboard()

    first = await tollgate.post(f"{WALLET}/{kind}", TEN, key="k-1")
    again = await tollgate.post(f"{WALLET}/{kind}", TEN, key="k-1")
    other = await tollgate.post(f"{WALLET}/{kind}", TEN | {"amount": "2.00"}, key="k-1")

    assert (first.status_code, replayed(first)) == (201, False)
    assert (again.status_code, replayed(again), again.json()) == (200, True, first.json())
    assert again.headers["content-length"] == str(len(again.content))
    assert refused(other) == REUSED


async def test_a_list_is_a_replay_when_every_posting_of_it_is(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    first = await tollgate.post(f"{WALLET}/debits", [TEN, TEN], key="k-1")
    again = await tollgate.post(f"{WALLET}/debits", [TEN, TEN], key="k-1")
    longer = await tollgate.post(f"{WALLET}/debits", [TEN, TEN, TEN], key="k-1")
    other = await tollgate.post(f"{WALLET}/debits", [TEN | {"amount": "2.00"}], key="k-1")

    assert (replayed(first), replayed(again), replayed(longer)) == (False, True, False)
    assert [outcome["outcome"] for outcome in longer.json()["outcomes"]] == ["replayed"] * 2 + [
        "booked"
    ]
    assert other.json()["outcomes"][0]["problem"]["code"] == "idempotency_key_reused"


async def test_a_key_beside_a_reference_stands_for_one_request(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    for path, body in ((f"{WALLET}/debits", TEN), (f"{WALLET}/holds", hold(amount="1.00"))):
        named = body | {"reference_id": f"order-1{path}"}

        first = await tollgate.post(path, named, key="k-1")
        again = await tollgate.post(path, named, key="k-1")
        other_key = await tollgate.post(path, named, key="k-2")
        other = await tollgate.post(path, body | {"reference_id": f"order-2{path}"}, key="k-1")

        assert (replayed(first), replayed(again), replayed(other_key)) == (False, True, True)
        assert refused(other) == REUSED


async def test_a_hold_is_reserved_captured_and_released_once_by_a_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    body = hold()

    first = await tollgate.post(f"{WALLET}/holds", body, key="ride")
    again = await tollgate.post(f"{WALLET}/holds", body, key="ride")
    other = await tollgate.post(f"{WALLET}/holds", body | {"amount": "5.00"}, key="ride")
    neither = await tollgate.post(f"{WALLET}/holds", body)
    ours = await tollgate.post(f"{WALLET}/holds", body, key="paypal:capture:1")

    assert (first.json()["reference_id"], replayed(first), replayed(again)) == ("ride", False, True)
    assert refused(other) == REUSED
    assert [answer.status_code for answer in (neither, ours)] == [422, 422]

    path = f"{WALLET}/holds/ride/capture"
    too_much = await tollgate.post(path, {"amount": "6.01"}, key="c")
    captured = await tollgate.post(path, {"amount": "2.00"}, key="c")
    replay = await tollgate.post(path, {"amount": "2.00"}, key="c")
    by_nature = await tollgate.post(path, {"amount": "2.00"})
    reused = await tollgate.post(path, {"amount": "3.00"}, key="c")

    assert too_much.status_code == 422  # so the key is still free
    assert [replayed(answer) for answer in (captured, replay, by_nature)] == [False, True, True]
    assert replay.json() == captured.json()
    assert refused(reused) == REUSED

    await tollgate.post(f"{WALLET}/holds", hold(amount="1.00"), key="walk")
    released = [await tollgate.post(f"{WALLET}/holds/walk/release", key="r") for _ in range(2)]
    elsewhere = await tollgate.post(f"{WALLET}/holds/ride/release", key="r")

    assert [replayed(answer) for answer in released] == [False, True]
    assert refused(elsewhere) == REUSED


async def test_a_retried_suspension_does_not_undo_what_followed_it(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    why = {"reason": "abuse"}

    suspended = await tollgate.post(f"{ACME}/suspend", why, key="s-1")
    reinstated = await tollgate.post(f"{ACME}/reinstate", key="r-1")
    retried = await tollgate.post(f"{ACME}/suspend", why, key="s-1")
    other = await tollgate.post(f"{ACME}/suspend", {"reason": "spam"}, key="s-1")
    anew = await tollgate.post(f"{ACME}/suspend", why, key="s-2")

    assert suspended.json()["status"] == "suspended"
    assert [replayed(answer) for answer in (suspended, reinstated)] == [False, False]
    assert (replayed(retried), retried.json()["blocks"]) == (True, [])
    assert refused(other) == REUSED
    assert (replayed(anew), anew.json()["status"]) == (False, "suspended")


async def test_a_retried_freeze_does_not_undo_what_followed_it(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    await tollgate.post(f"{WALLET}/freeze", {"reason": "audit"}, key="f")
    await tollgate.post(f"{WALLET}/unfreeze", key="u")
    retried = await tollgate.post(f"{WALLET}/freeze", {"reason": "audit"}, key="f")
    unfrozen = await tollgate.post(f"{WALLET}/unfreeze", key="u")

    assert (replayed(retried), retried.json()["frozen"]) == (True, False)
    assert replayed(unfrozen)


async def test_a_retried_pause_does_not_undo_a_resume(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    draft = {"name": "Autumn", "body": "Hello", "recipients": ["+14155550100"]}
    created = await tollgate.post(f"{ACME}/campaigns", draft, key="made")
    again = await tollgate.post(f"{ACME}/campaigns", draft, key="made")
    path = f"{ACME}/campaigns/{created.json()['id']}"

    started = [await tollgate.post(f"{path}/start", key="start") for _ in range(2)]
    paused = await tollgate.post(f"{path}/pause", key="pause")
    paused_by_nature = await tollgate.post(f"{path}/pause")
    resumed = [await tollgate.post(f"{path}/resume", key="resume") for _ in range(2)]
    retried = await tollgate.post(f"{path}/pause", key="pause")
    canceled = [await tollgate.post(f"{path}/cancel", key="cancel") for _ in range(2)]

    assert (replayed(created), replayed(again)) == (False, True)
    assert [replayed(answer) for answer in started] == [False, True]
    assert [replayed(answer) for answer in (paused, paused_by_nature)] == [False, True]
    assert [replayed(answer) for answer in resumed] == [False, True]
    assert (replayed(retried), retried.json()["status"]) == (True, "running")
    assert [replayed(answer) for answer in canceled] == [False, True]


async def test_an_upload_is_answered_again_after_its_campaign_was_started(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    created = await tollgate.post(f"{ACME}/campaigns", {"name": "A", "body": "Hello"}, key="made")
    path = f"{ACME}/campaigns/{created.json()['id']}"

    async def upload(numbers: str) -> httpx.Response:
        return await tollgate.post(
            f"{path}/recipients",
            key="list-1",
            headers={"Content-Type": "text/csv"},
            content=numbers,
        )

    first = await upload("to\n+14155550100\n")
    other = await upload("to\n+14155550101\n")
    await tollgate.post(f"{path}/start")
    again = await upload("to\n+14155550100\n")

    assert (replayed(first), first.json()["added"]) == (False, 1)
    assert refused(other) == REUSED
    assert (replayed(again), again.json()) == (True, first.json())


async def test_a_message_says_that_it_was_sent_before(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    body = {"to": "+14155550100", "body": "Hello"}

    first = await tollgate.post(f"{ACME}/messages", body, key="m-1")
    again = await tollgate.post(f"{ACME}/messages", body, key="m-1")
    other = await tollgate.post(f"{ACME}/messages", body | {"body": "Bye"}, key="m-1")

    assert (replayed(first), replayed(again)) == (False, True)
    assert refused(other) == REUSED


async def test_organizations_subscriptions_and_top_ups_say_what_was_done_before(
    tollgate: Tollgate,
) -> None:
    account = await tollgate.account()
    new = {
        "id": "acme",
        "name": "Acme",
        "currency": "USD",
        "twilio_account_sid": account,
        "sender": "+15550001199",
    }
    created = [await tollgate.post("/v1/organizations", new, key="o-1") for _ in range(2)]
    other = await tollgate.post("/v1/organizations", new | {"id": "bolt"}, key="o-1")
    urls = {"return_url": "https://example.com/a", "cancel_url": "https://example.com/b"}
    topup = TEN | urls | {"provider": "paypal"}
    topups = [await tollgate.post(f"{WALLET}/topups", topup, key="t-1") for _ in range(2)]
    checkout = urls | {"provider": "stripe", "plan_id": "price_standard"}
    checkouts = [
        await tollgate.post(f"{ACME}/subscription/checkout", checkout, key="c-1") for _ in range(2)
    ]

    assert [replayed(answer) for answer in created] == [False, True]
    assert refused(other) == REUSED
    assert [replayed(answer) for answer in topups] == [False, True]
    assert [replayed(answer) for answer in checkouts] == [False, True]


async def test_an_act_at_the_provider_is_not_repeated_by_its_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.subscribe()
    path = f"{ACME}/subscription"
    why = {"reason": "asked for by the customer"}

    suspended = [await tollgate.post(f"{path}/suspend", why, key="s") for _ in range(2)]
    resumed = [await tollgate.post(f"{path}/resume", why, key="r") for _ in range(2)]
    retried = await tollgate.post(f"{path}/suspend", why, key="s")
    reused = await tollgate.post(f"{path}/suspend", {"reason": "else"}, key="s")

    assert [replayed(answer) for answer in suspended] == [False, True]
    assert [replayed(answer) for answer in resumed] == [False, True]
    assert resumed[1].json()["outcome"] == resumed[0].json()["outcome"] == "resumed"
    assert (replayed(retried), retried.json()["status"]) == (True, "active")
    assert refused(reused) == REUSED


async def test_one_of_concurrent_requests_with_the_same_key_is_executed(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{WALLET}/holds", hold(), key="ride")

    async def capture() -> httpx.Response:
        """Repeated after 503, as documented: waiting for the first request may take too long."""
        path = f"{WALLET}/holds/ride/capture"
        while (answer := await tollgate.post(path, {"amount": "2.00"}, key="c")).status_code == 503:
            pass
        return answer

    answers = await asyncio.gather(*(capture() for _ in range(5)))

    assert sorted(replayed(answer) for answer in answers) == [False, True, True, True, True]


async def test_a_key_that_is_no_key_is_refused_wherever_it_is_optional(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answer = await tollgate.post(f"{ACME}/suspend", {"reason": "abuse"}, key="with a space")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_a_message_is_given_up_and_sent_once_more_once_by_a_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    quiet = {"sending_after": 60, "sent_after": 60, "delivered_after": 60}  # no callback names it
    await tollgate.http.patch(f"{tollgate.twilio.url}/_sim/behaviour", json=quiet)
    body = {"to": "+14155550100", "body": "Hello"}
    sent = (await tollgate.post(f"{ACME}/messages", body, key="m-1")).json()
    path = f"{ACME}/messages/{sent['id']}"
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("UPDATE messages SET provider_sid = NULL"))

    given_up = [await tollgate.post(f"{path}/refund", key="r") for _ in range(2)]
    resent = [await tollgate.post(f"{path}/resend", key="again") for _ in range(2)]
    by_nature = await tollgate.post(f"{path}/resend")
    late = await tollgate.post(f"{path}/refund", key="r")

    assert [replayed(answer) for answer in given_up] == [False, True]
    assert [answer.json()["status"] for answer in given_up] == ["lost", "lost"]
    assert [replayed(answer) for answer in resent] == [False, True]
    assert [answer.json()["status"] for answer in resent] == ["accepted", "accepted"]
    assert refused(by_nature) == (409, "message_not_lost")
    assert (replayed(late), late.json()["status"]) == (True, "accepted")
    entries = (await tollgate.get(f"{WALLET}/entries")).json()["data"]
    assert [entry["kind"] for entry in entries] == ["debit", "refund", "debit", "credit"]
