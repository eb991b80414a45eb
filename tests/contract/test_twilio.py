"""The Twilio adapter against the simulator: complete stories, with network faults."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.campaigns.telephony import (
    Accepted,
    AccountStatus,
    DeliveryStatus,
    NotProcessed,
    OutboundMessage,
    Refused,
    Unknown,
)
from domain.money import Money
from providers.errors import AlreadyTerminal, ProviderUnavailable
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator

FROM = "+15005550006"


@dataclass
class World:
    simulator: TwilioSimulator
    twilio: Twilio
    control: httpx.AsyncClient
    sub: str

    def message(self, to: str = "+15551230001") -> OutboundMessage:
        return OutboundMessage(
            account_sid=self.sub, sender=FROM, to=to, body="Hello", status_callback=""
        )

    async def fault(self, kind: str, **more: Any) -> None:
        fault = {"kind": kind, "method": "POST", "path": "/2010-04-01", "times": 1} | more
        (await self.control.post("/_sim/faults", json=fault)).raise_for_status()

    async def delivered(self, sid: str) -> None:
        for _ in range(250):
            if (await self.twilio.get_message(self.sub, sid)).status is DeliveryStatus.DELIVERED:
                return
            await asyncio.sleep(0.02)
        pytest.fail("not delivered within five seconds")

    def accepted(self) -> int:
        return len(self.simulator.state.messages)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with (
        serve(TwilioSimulator(seed=1)) as simulator,
        fast_client(read=0.5) as client,
        fast_client(simulator.url) as control,
    ):
        opened = await control.post("/_sim/accounts", json={"friendly_name": "org_1"})
        sub = opened.json()["accounts"][0]["sid"]
        twilio = Twilio(
            client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url
        )
        yield World(simulator, twilio, control, sub)


async def test_a_suspended_subaccount_sends_nothing_until_it_is_active_again(world: World) -> None:
    suspended = await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
    refused = await world.twilio.send(world.message())
    active = await world.twilio.ensure_status(world.sub, AccountStatus.ACTIVE)
    accepted = await world.twilio.send(world.message())

    assert (suspended.status, active.status) == (AccountStatus.SUSPENDED, AccountStatus.ACTIVE)
    assert isinstance(refused, Refused)
    assert refused.account_suspended
    assert isinstance(accepted, Accepted)
    assert world.accepted() == 1


async def test_ensuring_a_status_twice_is_ensuring_it_once(world: World) -> None:
    for _ in range(2):
        assert (
            await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
        ).status is AccountStatus.SUSPENDED


async def test_an_account_that_twilio_holds_cannot_be_reactivated(world: World) -> None:
    await world.control.post(
        f"/_sim/accounts/{world.sub}/status", json={"status": "suspended", "by_twilio": True}
    )

    with pytest.raises(AlreadyTerminal) as failure:
        await world.twilio.ensure_status(world.sub, AccountStatus.ACTIVE)
    assert failure.value.code == "21478"
    assert (
        await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
    ).status is AccountStatus.SUSPENDED


async def test_a_closed_account_is_as_good_as_suspended_and_never_active(world: World) -> None:
    await world.control.post(f"/_sim/accounts/{world.sub}/status", json={"status": "closed"})

    assert (
        await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
    ).status is AccountStatus.CLOSED
    with pytest.raises(AlreadyTerminal):
        await world.twilio.ensure_status(world.sub, AccountStatus.ACTIVE)


@pytest.mark.parametrize(
    "kind", ["timeout_after_acceptance", "reset_after_acceptance", "error_after_acceptance"]
)
async def test_an_answer_lost_after_acceptance_is_unknown_and_the_message_can_be_found(
    world: World, kind: str
) -> None:
    since = datetime.now(UTC)
    await world.fault(kind)

    outcome = await world.twilio.send(world.message())
    listed = await world.twilio.sent_since(world.sub, since, to="+15551230001")

    assert isinstance(outcome, Unknown)
    assert world.accepted() == 1
    assert (len(listed.messages), listed.complete) == (1, True)


async def test_a_rate_limited_message_was_not_processed(world: World) -> None:
    await world.fault("429", retry_after=2)

    outcome = await world.twilio.send(world.message())

    assert isinstance(outcome, NotProcessed)
    assert outcome.retry_after == 2.0
    assert world.accepted() == 0


async def test_a_malformed_answer_is_unknown(world: World) -> None:
    await world.fault("malformed_json")

    assert isinstance(await world.twilio.send(world.message()), Unknown)


async def test_an_outage_while_suspending_is_tried_again_by_the_caller(world: World) -> None:
    await world.fault("503")

    with pytest.raises(ProviderUnavailable):
        await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
    assert (
        await world.twilio.ensure_status(world.sub, AccountStatus.SUSPENDED)
    ).status is AccountStatus.SUSPENDED


async def test_the_price_comes_after_the_delivery(world: World) -> None:
    sent = await world.twilio.send(world.message())
    assert isinstance(sent, Accepted)
    before = await world.twilio.get_message(world.sub, sent.sid)
    await world.delivered(sent.sid)
    await world.control.post("/_sim/settle_prices")
    after = await world.twilio.get_message(world.sub, sent.sid)

    assert before.price is None
    assert after.price == Money(7_500, "USD")


async def test_a_message_never_sent_is_not_found(world: World) -> None:
    listed = await world.twilio.sent_since(world.sub, datetime.now(UTC), to="+1999")

    assert (listed.messages, listed.complete) == ((), True)


async def test_messages_of_a_day_are_listed_page_by_page_with_their_prices(world: World) -> None:
    world.simulator.state.behaviour.change(
        {"sending_after": 0, "sent_after": 0, "delivered_after": 0}
    )
    account = world.simulator.state.accounts[world.sub]
    sent = [
        world.simulator.messages.accept(
            account, {"To": f"+1555{n:07d}", "From": FROM, "Body": "Hello"}
        ).sid
        for n in range(1_200)
    ]
    await world.delivered(sent[-1])
    world.simulator.state.settle_prices()
    today = datetime.now(UTC).date()

    first = await world.twilio.list_messages(world.sub, today)
    second = await world.twilio.list_messages(world.sub, today, page=first.next)
    before = await world.twilio.list_messages(world.sub, today - timedelta(days=1))

    assert [len(page.messages) for page in (first, second, before)] == [1_000, 200, 0]
    assert [second.next, before.next] == [None, None]
    assert {message.sid for page in (first, second) for message in page.messages} == set(sent)
    assert {message.price for page in (first, second) for message in page.messages} == {
        Money(7_500, "USD")
    }


async def test_everything_sent_since_is_listed_over_several_pages_while_more_comes_in(
    world: World,
) -> None:
    account = world.simulator.state.accounts[world.sub]

    def accept(count: int) -> list[str]:
        form = {"From": FROM, "Body": "Hello"}
        return [
            world.simulator.messages.accept(account, {"To": f"+1555{n:07d}", **form}).sid
            for n in range(count)
        ]

    accept(3)
    await asyncio.sleep(0)
    for old in account.messages:
        old.created = old.updated = old.created - 60
    since = datetime.now(UTC)
    sent = accept(1_200)

    listed = await world.twilio.sent_since(world.sub, since)

    assert {message.sid for message in listed.messages} == set(sent)
    assert listed.complete


async def test_redacted_and_masked_messages_are_listed_and_deleted_ones_are_not(
    world: World,
) -> None:
    since = datetime.now(UTC)
    sids = []
    for n in range(2):
        sent = await world.twilio.send(world.message(f"+1555123000{n}"))
        assert isinstance(sent, Accepted)
        sids.append(sent.sid)
        await world.delivered(sent.sid)
    path = f"/2010-04-01/Accounts/{world.sub}/Messages"
    main = (MAIN_SID, MAIN_TOKEN)
    redacted = await world.control.post(f"{path}/{sids[0]}.json", data={"Body": ""}, auth=main)
    deleted = await world.control.delete(f"{path}/{sids[1]}.json", auth=main)
    world.simulator.state.behaviour.change({"redact_numbers": True})

    [left] = (await world.twilio.sent_since(world.sub, since)).messages
    masked = await world.twilio.sent_since(world.sub, since, to="+15551230000")

    assert (redacted.status_code, deleted.status_code) == (200, 204)
    assert (left.sid, left.body, left.to) == (sids[0], "", "+1555123XXXX")
    assert left.may_be_to("+15551230000")
    assert masked.messages == ()
