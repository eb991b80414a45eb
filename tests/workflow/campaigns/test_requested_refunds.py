"""Refunds after a callback: the message is read at Twilio first, whoever signed the callback;
failures without a callback are found, too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from db.campaigns import messages as stored
from db.campaigns import status_checks
from simulators.twilio.state import SentMessage
from tests.builders import number, run
from tests.world import World, until

LATER = timedelta(hours=2)


async def sent_message(
    world: World, **behaviour: object
) -> tuple[str, dict[str, Any], SentMessage]:
    """A message that Twilio accepted, and Twilio's own record of it."""
    world.twilio.state.behaviour.change(behaviour)
    organization_id, _ = await world.organization()
    body = {"to": "+14155550100", "body": "hello"}
    sent = await world.post(f"/v1/organizations/{organization_id}/messages", body)
    return organization_id, sent, world.twilio.state.messages[sent["provider_sid"]]


async def sign(world: World, sent: dict[str, Any], taken: SentMessage, **fields: str) -> int:
    """A callback, signed with the subaccount's own token, as anybody with the token can."""
    url = f"{world.services.settings.public_url}/webhooks/twilio/status?attempt={sent['id']}.1"
    form = {"AccountSid": taken.account_sid, "MessageSid": taken.sid} | fields
    token = world.twilio.state.accounts[taken.account_sid].auth_token
    headers = {"x-twilio-signature": RequestValidator(token).compute_signature(url, form)}
    headers["content-type"] = "application/x-www-form-urlencoded"
    answer = await world.api.post(url, content=urlencode(form), headers=headers)
    return answer.status_code


async def balance(world: World, organization_id: str) -> int:
    return (await world.wallet(organization_id)).balance_micros


async def nothing_to_read(world: World, organization_id: str) -> None:
    query = "SELECT count(*) FROM status_checks WHERE organization_id = :of"

    async def reached() -> bool:
        return await number(world.services.engine, query, of=organization_id) == 0

    await until(reached, "everything read")


async def test_a_holder_of_the_subaccounts_token_gets_no_refund_for_sent_messages(
    world: World,
) -> None:
    organization_id, sent, taken = await sent_message(
        world, sending_after=0.5, callback_statuses=["sent", "delivered"]
    )

    answers = [
        await sign(world, sent, taken, MessageStatus="failed", ErrorCode="30008"),
        await sign(world, sent, taken, MessageStatus="canceled"),
        await sign(world, sent, taken, MessageStatus="undelivered", ErrorCode="30036"),
    ]

    await nothing_to_read(world, organization_id)
    message = (
        await world.api.get(f"/v1/organizations/{organization_id}/messages/{sent['id']}")
    ).json()
    assert answers == [204] * 3
    assert (
        message["status"],
        message["delivery_status"],
        await balance(world, organization_id),
    ) == (
        "accepted",
        "delivered",
        9_990_000,
    )
    assert "callback_contradicted" in await world.alerts(organization_id)
    await world.certify()


async def test_a_message_failed_by_twilio_is_refunded_right_after_its_callback(
    world: World,
) -> None:
    world.twilio.state.fail_to["+14155550100"] = ("failed", 30008)
    organization_id, _, _ = await sent_message(world)

    async def refunded() -> bool:
        return await balance(world, organization_id) == 10_000_000

    await until(refunded, "the refund")
    assert "callback_contradicted" not in await world.alerts(organization_id)
    await world.certify()


async def test_a_refund_waits_while_twilio_cannot_be_read_and_no_other_organization_with_it(
    world: World,
) -> None:
    for to in ("+14155550100", "+14155550101"):
        world.twilio.state.fail_to[to] = ("failed", 30008)
    waiting, _, taken = await sent_message(world, sending_after=0.2)
    path = f"/2010-04-01/Accounts/{taken.account_sid}/Messages"
    world.twilio.faults.add("timeout_before", method="GET", path=path)
    free, _, _ = await sent_message(world)

    async def refunded() -> bool:
        return await balance(world, free) == 10_000_000

    await until(refunded, "the other's refund")
    assert await balance(world, waiting) == 9_990_000
    world.heal()

    async def refunded_too() -> bool:
        return await balance(world, waiting) == 10_000_000

    await until(refunded_too, "the refund that waited")
    await world.certify()


async def test_a_failure_whose_callbacks_were_all_lost_is_found_and_refunded(world: World) -> None:
    world.twilio.callbacks.faults.add("lost")
    world.twilio.state.fail_to["+14155550100"] = ("failed", 30008)
    organization_id, sent, taken = await sent_message(world)
    engine = world.services.engine

    async def failed() -> bool:
        return taken.status == "failed"

    await until(failed, "failed")
    await run(
        engine,
        "UPDATE messages SET sending_at = now() - interval '5 hours' WHERE id = :id",
        id=sent["id"],
    )

    async with engine.begin() as conn:
        await status_checks.add_undecided(conn, now=datetime.now(UTC))
    await world.services.checking.check(now=datetime.now(UTC) + LATER)

    await nothing_to_read(world, organization_id)
    assert await balance(world, organization_id) == 10_000_000
    await run(engine, "UPDATE messages SET sending_at = now() WHERE id = :id", id=sent["id"])
    await world.certify()


async def test_callbacks_answered_with_an_error_are_repeated_as_requested(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.callback_batcher.PATIENCE", 0.0)
    organization_id, sent, taken = await sent_message(
        world, sending_after=1.0, callback_statuses=["delivered"]
    )
    async with world.services.engine.begin() as conn:
        await stored.lock(conn, organization_id, [UUID(sent["id"])])
        tries = world.twilio.callbacks.tries

        async def refused() -> bool:
            """The only callback was answered with an error at least once."""
            return world.twilio.callbacks.tries > tries

        await until(refused, "a callback that could not be written")

    async def delivered() -> bool:
        message = (
            await world.api.get(f"/v1/organizations/{organization_id}/messages/{sent['id']}")
        ).json()
        return bool(message["delivery_status"] == "delivered")

    async def ended() -> list[int]:
        return [
            callback.tries
            for callback in world.twilio.state.callbacks
            if callback.message_sid == taken.sid
        ]

    await until(delivered, "delivered")
    [tries_of_callback] = await until(ended, "the callback's last try")
    assert tries_of_callback > 1


async def test_a_refunded_message_that_was_sent_is_listed_and_can_be_charged_by_an_operator(
    world: World,
) -> None:
    world.twilio.state.fail_to["+14155550100"] = ("failed", 30008)
    organization_id, sent, taken = await sent_message(world)
    path = f"/v1/organizations/{organization_id}/messages"

    async def refunded() -> bool:
        return await balance(world, organization_id) == 10_000_000

    await until(refunded, "the refund")
    taken.status, taken.error_code = "delivered", None
    await sign(world, sent, taken, MessageStatus="delivered")
    await nothing_to_read(world, organization_id)
    [unpaid] = (await world.api.get(f"{path}/unpaid")).json()["data"]
    alerts = await world.alerts(organization_id)
    charged = [await world.post(f"{path}/{sent['id']}/charge") for _ in range(2)]

    assert (unpaid["message_id"], unpaid["provider_sid"]) == (sent["id"], taken.sid)
    assert "sent_after_refund" in alerts
    assert [(entry["status"], entry["delivery_status"]) for entry in charged] == [
        ("refused", "delivered")
    ] * 2
    assert await balance(world, organization_id) == 9_990_000
    assert (await world.api.get(f"{path}/unpaid")).json()["data"] == []
    assert "sent_after_refund" not in await world.alerts(organization_id)
    await world.certify()
