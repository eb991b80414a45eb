"""Refusals for the sender, the account or the text: the campaign parks, and no recipient is blamed
or charged.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.campaigns import refusals
from domain.campaigns.campaign import Park
from simulators.twilio.state import Account
from tests.builders import rows, run
from tests.workflow.campaigns.sent import (
    accepted,
    comes_to,
    counts,
    ends_with_each_once,
    paid,
    recipients,
    settled,
)
from tests.world import World, until

SERVICE = "MG" + "0" * 32


async def account_of(world: World, organization_id: str) -> Account:
    return world.twilio.state.accounts[await world.account_sid(organization_id)]


async def change(world: World, organization_id: str, **what: object) -> dict[str, object]:
    answer = await world.api.patch(f"/v1/organizations/{organization_id}", json=what)
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


async def campaign_to(world: World, organization_id: str, numbers: list[str]) -> UUID:
    path = f"/v1/organizations/{organization_id}/campaigns"
    campaign = await world.post(path, {"name": "spring", "body": "Hello", "recipients": numbers})
    await world.post(f"{path}/{campaign['id']}/start")
    return UUID(campaign["id"])


async def shown(world: World, organization_id: str, campaign_id: UUID) -> dict[str, Any]:
    answer = await world.api.get(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}")
    found: dict[str, Any] = answer.json()
    return found


def not_of_twilio(account: Account) -> None:
    account.released.add("+15550001111")


def not_able_to_send(account: Account) -> None:
    account.senders["+15550001111"] = False


@pytest.mark.parametrize(
    ("sender", "breaks", "code"),
    [
        ("+15550001111", not_of_twilio, 21659),
        ("+15550001111", not_able_to_send, 21661),
        (SERVICE, lambda account: account.services.update({SERVICE: []}), 21704),
        (SERVICE, lambda _: None, 21701),
        ("+15550001111", lambda account: setattr(account, "refuse_code", 21606), 21606),
    ],
)
async def test_a_sender_that_cannot_send_stops_the_campaign_without_a_charge_until_it_is_changed(
    world: World, sender: str, breaks: Callable[[Account], object], code: int
) -> None:
    organization_id, _ = await world.organization()
    await change(world, organization_id, sender=sender)
    account = await account_of(world, organization_id)
    breaks(account)

    campaign_id = await world.campaign(organization_id, recipients=300)
    await comes_to(world, organization_id, campaign_id, "parked")
    parked = await settled(world, organization_id, campaign_id)
    waiting = (await shown(world, organization_id, campaign_id))["waiting"]
    alerts = await world.alerts(organization_id)
    await world.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )

    assert parked["pending"] == 300
    await world.certify()
    assert await paid(world, organization_id) == 0
    assert waiting["code"] == Park.SENDER_REFUSED
    assert str(code) in waiting["message"]
    assert str(code) in alerts["campaign_refused"]
    assert "+1555" not in alerts["campaign_refused"]
    assert (
        await world.campaign_now(organization_id, campaign_id)
    ).status == "parked"  # a credit does not fix it

    account.refuse_code = None
    await change(world, organization_id, sender="+15550002222")
    await ends_with_each_once(world, organization_id, campaign_id, 300)


async def test_a_sender_that_is_lost_on_the_way_loses_nobody_and_nothing_is_paid_twice(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=1000)
    await accepted(world, organization_id, 250)
    account = await account_of(world, organization_id)
    not_of_twilio(account)
    await comes_to(world, organization_id, campaign_id, "parked")
    parked = await settled(world, organization_id, campaign_id)

    assert (parked["refused"], parked["pending"] + parked["accepted"]) == (0, 1000)
    assert await paid(world, organization_id) == parked["accepted"]
    assert parked["pending"] > 0
    account.released.clear()
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/resume")
    await ends_with_each_once(world, organization_id, campaign_id, 1000)


@pytest.mark.parametrize(
    ("code", "park"),
    [
        (21617, Park.CONTENT_REFUSED),
        (21609, Park.REQUEST_REFUSED),
        (21608, Park.ACCOUNT_REFUSED),
        (20404, Park.ACCOUNT_REFUSED),
        (29999, Park.REFUSED),
    ],
)
async def test_any_other_refusal_that_would_meet_every_recipient_parks_the_campaign_until_a_person_resumes_it(
    world: World, code: int, park: Park
) -> None:
    organization_id, _ = await world.organization()
    account = await account_of(world, organization_id)
    account.refuse_code = code

    campaign_id = await world.campaign(organization_id, recipients=20)
    await comes_to(world, organization_id, campaign_id, "parked")
    parked = await settled(world, organization_id, campaign_id)

    assert (parked["pending"], parked["refused"]) == (20, 0)
    assert (await world.campaign_now(organization_id, campaign_id)).reason == park
    assert "campaign_refused" in await world.alerts(organization_id)
    account.refuse_code = None
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/resume")
    await ends_with_each_once(world, organization_id, campaign_id, 20)


async def test_destinations_that_are_not_permitted_are_left_out_while_the_others_go(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    (await account_of(world, organization_id)).regions_off = {"+44"}
    numbers = [f"+1415555{n:04d}" if n % 3 else f"+44771234{n:04d}" for n in range(60)]

    campaign_id = await campaign_to(world, organization_id, numbers)
    await comes_to(world, organization_id, campaign_id, "completed")

    now = await counts(world, organization_id, campaign_id)
    assert (now["accepted"], now["refused"]) == (40, 20)
    assert await paid(world, organization_id) == 40


async def test_a_campaign_whose_destinations_are_all_not_permitted_parks_and_says_so(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    (await account_of(world, organization_id)).regions_off = {"+44"}

    campaign_id = await campaign_to(world, organization_id, [f"+44771234{n:04d}" for n in range(3)])
    await comes_to(world, organization_id, campaign_id, "parked")
    parked = await settled(world, organization_id, campaign_id)

    assert (parked["pending"], parked["refused"]) == (3, 0)
    assert (
        await world.campaign_now(organization_id, campaign_id)
    ).reason == Park.DESTINATION_REFUSED


async def test_a_full_queue_is_waited_for_and_a_credit_is_no_reason_to_try_again(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    account = await account_of(world, organization_id)
    account.refuse_code = 21611

    campaign_id = await world.campaign(organization_id, recipients=20)

    async def waits() -> bool:
        waiting = (await shown(world, organization_id, campaign_id))["waiting"]
        return waiting is not None and waiting["code"] == "twilio_limit"

    await until(waits, "a campaign that waits for Twilio's queue")
    now = await counts(world, organization_id, campaign_id)
    assert (now["refused"], now["accepted"]) == (0, 0)
    assert (await shown(world, organization_id, campaign_id))["progress"][
        "remaining_seconds"
    ] is None
    assert world.twilio.state.refused[21611] == 20


async def test_several_that_carriers_refuse_for_the_sender_stop_the_rest(world: World) -> None:
    """Twilio accepts them all, and each fails a moment later, like messages of an unregistered
    number.
    """
    world.twilio.state.behaviour.change(
        {"fail_share": 1.0, "fail_status": "failed", "fail_code": 30034}
    )
    organization_id, _ = await world.organization(balance="100.00")
    await world.api.patch(f"/v1/organizations/{organization_id}", json={"messages_per_second": 20})

    campaign_id = await world.campaign(organization_id, recipients=1500)
    await comes_to(world, organization_id, campaign_id, "parked")

    assert (await world.campaign_now(organization_id, campaign_id)).reason == Park.SENDER_REFUSED
    assert (await settled(world, organization_id, campaign_id))["pending"] > 500
    world.heal()
    await world.api.patch(
        f"/v1/organizations/{organization_id}", json={"messages_per_second": None}
    )
    # earlier failures no longer count
    await change(world, organization_id, sender="+15550002222")
    await comes_to(world, organization_id, campaign_id, "completed")
    assert (await counts(world, organization_id, campaign_id))["refused"] < 500


async def test_a_single_message_that_the_sender_cannot_send_is_refunded_and_raises_an_alert(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    not_of_twilio(await account_of(world, organization_id))
    path = f"/v1/organizations/{organization_id}/messages"

    refused = await world.post(path, {"to": "+14155550100", "body": "hello"})
    wrong = await world.post(path, {"to": "+15005550001", "body": "hello"})

    assert (refused["status"], refused["error_code"], wrong["error_code"]) == (
        "refused",
        21659,
        21211,
    )
    assert "21659" in (await world.alerts(organization_id))["sending_refused"]
    assert await paid(world, organization_id) == 0
    await change(world, organization_id, sender="+15550002222")
    assert "sending_refused" not in await world.alerts(organization_id)
    await world.post(path, {"to": "+14155550100", "body": "hello"})
    assert await recipients(world, organization_id) == ["+14155550100"]
    await world.certify()


@pytest.mark.parametrize("status", ["failed", "undelivered"])
async def test_carriers_refusing_the_sender_raise_an_alert_even_if_every_message_was_sent(
    world: World, status: str
) -> None:
    world.twilio.state.behaviour.change(
        {"fail_share": 1.0, "fail_status": status, "fail_code": 30034}
    )
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=3)
    await comes_to(world, organization_id, campaign_id, "completed")

    async def alerted() -> bool:
        return "30034" in (await world.alerts(organization_id)).get("sending_refused", "")

    await until(alerted, "an alert")
    async with world.services.engine.begin() as conn:
        await refusals.forget(conn, now=datetime.now(UTC))
    assert await alerted()
    async with world.services.engine.begin() as conn:
        await refusals.forget(conn, now=datetime.now(UTC) + timedelta(days=1, minutes=1))
    assert not await alerted()


async def test_a_new_sender_of_an_organization_that_may_not_send_waits_for_that_and_goes_on_by_itself(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    not_of_twilio(await account_of(world, organization_id))
    campaign_id = await world.campaign(organization_id, recipients=20)
    await comes_to(world, organization_id, campaign_id, "parked")
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    refused = (await world.campaign_now(organization_id, campaign_id)).reason

    await change(world, organization_id, sender="+15550002222")
    waiting = (await world.campaign_now(organization_id, campaign_id)).reason
    await world.pay(subscription_id)

    assert (refused, waiting) == (Park.SENDER_REFUSED, Park.SUSPENDED)
    await ends_with_each_once(world, organization_id, campaign_id, 20)


async def test_a_single_message_that_comes_to_a_full_queue_says_so_and_is_refunded(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    (await account_of(world, organization_id)).refuse_code = 21611

    sent = await world.post(
        f"/v1/organizations/{organization_id}/messages", {"to": "+14155550100", "body": "hello"}
    )

    assert (sent["status"], sent["error_code"]) == ("refused", 21611)
    assert await paid(world, organization_id) == 0
    assert "sending_refused" not in await world.alerts(organization_id)


@pytest.mark.parametrize("code", [21211, 21408, 21612, 21614])
async def test_twilios_message_is_kept_and_shown_without_the_number_that_it_names(
    world: World, code: int
) -> None:
    """The recipient is in its own field, and nowhere else."""
    organization_id, _ = await world.organization()
    (await account_of(world, organization_id)).refuse_code = code
    to = "+14155550123"
    base = f"/v1/organizations/{organization_id}"

    sent = await world.post(f"{base}/messages", {"to": to, "body": "hello"})
    entries = (await world.api.get(f"{base}/wallet/entries")).text
    kept = await rows(
        world.services.engine, "SELECT problem FROM messages WHERE id = :id", id=sent["id"]
    )
    story = (await world.api.get(f"{base}/explain")).text
    alerts = (await world.api.get(f"{base}/alerts")).text
    await run(
        world.services.engine,
        "UPDATE messages SET problem = :words WHERE id = :id",
        words=f"of an earlier release: {to}",
        id=sent["id"],
    )
    earlier = (await world.api.get(f"{base}/messages/{sent['id']}")).json()

    assert (sent["to"], sent["error_code"]) == (to, code)
    assert "+1415***23" in sent["problem"]
    assert [to in text for text in (sent["problem"], entries, str(kept), story, alerts)] == [
        False
    ] * 5
    assert earlier["problem"] == "of an earlier release: +1415***23"
