"""An unconfirmed message is decided by its callback or a lookup, or given up and refunded."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import BatchOf
from activities.campaigns.dispatch import Sending
from activities.campaigns.twilio_send import Terms
from db.campaigns import messages
from db.campaigns.send_results import Reply
from domain.campaigns.campaign import MessageStatus
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from simulators.twilio.state import SentMessage
from tests.builders import hand_over, reserve, rows, run, settle_replies
from tests.workflow.campaigns.sent import comes_to, counts, ends_with_each_once, paid, recipients
from tests.workflow.stops import messages_path
from tests.world import World, until

AT_ONCE = timedelta(0)


async def with_unknown(world: World, kind: str) -> tuple[str, UUID]:
    """A campaign of 40 with three messages that Twilio did not confirm, before it has called
    back.
    """
    organization_id, _ = await world.organization()
    world.twilio.state.behaviour.change({"sending_after": 1.0})
    account_sid = await world.account_sid(organization_id)
    world.twilio.faults.add(kind, method="POST", path=messages_path(account_sid), times=3, skip=10)
    campaign_id = await world.campaign(organization_id, recipients=40)
    return organization_id, campaign_id


async def three_unknown(world: World, organization_id: str, campaign_id: UUID) -> None:
    async def reached() -> bool:
        now = await counts(world, organization_id, campaign_id)
        return (now["unknown"], now["accepted"]) == (3, 37)

    await until(reached, "three unknown messages")


def patient(world: World, *, lost_after: timedelta = timedelta(minutes=15)) -> Sending:
    """The world's own dispatcher, which looks up at once."""
    built = world.services
    return Sending(
        built.engine,
        built.twilio,
        built.notifier,
        terms=Terms(public_url=built.settings.public_url),
        lost_after=lost_after,
        look_up_after=AT_ONCE,
    )


async def resolve(
    world: World, organization_id: str, campaign_id: UUID, **patience: timedelta
) -> int:
    batch = BatchOf(organization_id=organization_id, campaign_id=campaign_id)
    settled = await ActivityEnvironment().run(patient(world, **patience).resolve_unknown, batch)
    await world.services.notifier.notify_campaign(organization_id, campaign_id)
    return settled


async def test_by_its_callback(world: World) -> None:
    organization_id, campaign_id = await with_unknown(world, "error_after_acceptance")

    await three_unknown(world, organization_id, campaign_id)

    async def called_back() -> bool:
        return (await counts(world, organization_id, campaign_id))["delivered"] == 40

    await until(called_back, "every callback")
    await world.services.notifier.notify_campaign(organization_id, campaign_id)
    await ends_with_each_once(world, organization_id, campaign_id, 40)


@pytest.mark.parametrize("kind", ["error_after_acceptance", "reset_after_acceptance"])
async def test_by_looking_it_up(world: World, kind: str) -> None:
    world.twilio.state.behaviour.change({"callback_statuses": []})
    organization_id, campaign_id = await with_unknown(world, kind)
    await three_unknown(world, organization_id, campaign_id)

    settled = await resolve(world, organization_id, campaign_id)

    assert settled == 3
    await ends_with_each_once(world, organization_id, campaign_id, 40)


async def test_a_message_that_twilio_does_not_list_is_given_up_and_refunded_only_after_its_deadline(
    world: World,
) -> None:
    organization_id, campaign_id = await with_unknown(world, "500")
    await three_unknown(world, organization_id, campaign_id)

    too_soon = await resolve(world, organization_id, campaign_id)
    in_time = await resolve(world, organization_id, campaign_id, lost_after=AT_ONCE)

    assert (too_soon, in_time) == (0, 3)
    await comes_to(world, organization_id, campaign_id, "completed")
    assert (await counts(world, organization_id, campaign_id))["lost"] == 3
    assert len(await recipients(world, organization_id)) == 37
    assert await paid(world, organization_id) == 37
    await world.certify()


async def test_a_message_that_failed_at_twilio_is_refunded_even_if_its_callback_was_lost(
    world: World,
) -> None:
    world.twilio.state.behaviour.change(
        {"fail_share": 1.0, "fail_status": "failed", "fail_code": 30008}
    )
    world.twilio.callbacks.faults.add("lost")
    organization_id, campaign_id = await with_unknown(world, "reset_after_acceptance")
    await three_unknown(world, organization_id, campaign_id)
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]

    async def all_failed() -> bool:
        return all(message.status == "failed" for message in account.messages)

    await until(all_failed, "every message failed")
    await resolve(world, organization_id, campaign_id)

    await comes_to(world, organization_id, campaign_id, "completed")
    assert (await counts(world, organization_id, campaign_id))["refused"] == 3
    assert await paid(world, organization_id) == 37
    await world.certify()


async def test_a_message_whose_subaccount_is_gone_is_kept_and_raises_an_alert_after_its_deadline(
    world: World,
) -> None:
    organization_id, campaign_id = await with_unknown(world, "500")
    await three_unknown(world, organization_id, campaign_id)

    async def the_others_delivered() -> bool:
        return (await counts(world, organization_id, campaign_id))["delivered"] == 37

    await until(the_others_delivered, "every callback")
    del world.twilio.state.accounts[await world.account_sid(organization_id)]

    too_soon = await resolve(world, organization_id, campaign_id)
    in_time = await resolve(world, organization_id, campaign_id, lost_after=AT_ONCE)

    assert (too_soon, in_time) == (0, 3)
    await comes_to(world, organization_id, campaign_id, "completed")
    assert "message_unconfirmed" in await world.alerts(organization_id)
    assert await paid(world, organization_id) == 40
    await world.certify()


async def lost_answer_and_callbacks(
    world: World, *, sender: str | None = None
) -> tuple[str, str, SentMessage]:
    """A message that Twilio accepted and delivered without any report to us; nothing else is sent."""
    world.twilio.state.behaviour.change({"callback_statuses": []})
    organization_id, _ = await world.organization()
    if sender is not None:
        query = "UPDATE organizations SET sender = :sender WHERE id = :id"
        await run(world.services.engine, query, sender=sender, id=organization_id)
    account_sid = await world.account_sid(organization_id)
    if sender is not None:
        world.twilio.state.accounts[account_sid].services[sender] = ["+15550001111"]
    world.twilio.faults.add(
        "reset_after_acceptance", method="POST", path=messages_path(account_sid), times=1
    )
    body = {"to": "+14155550100", "body": "Hello \u201cyou\u201d\u2026"}
    sent = await world.post(f"/v1/organizations/{organization_id}/messages", body)
    [taken] = world.twilio.state.accounts[account_sid].messages
    await delivered(taken)
    return organization_id, sent["id"], taken


async def delivered(message: SentMessage) -> None:
    async def reached() -> bool:
        return message.status == "delivered"

    await until(reached, "delivered")


async def message_of(world: World, organization_id: str, message_id: str) -> dict[str, Any]:
    message: dict[str, Any] = (
        await world.api.get(f"/v1/organizations/{organization_id}/messages/{message_id}")
    ).json()
    return message


@pytest.mark.parametrize(
    "how", ["redacted by hand", "redacted by the account", "masked", "smart encoding"]
)
async def test_a_message_erased_or_rewritten_at_twilio_is_found_and_not_refunded(
    world: World, how: str
) -> None:
    sender = "MG" + "1" * 32 if how == "smart encoding" else None
    organization_id, message_id, taken = await lost_answer_and_callbacks(world, sender=sender)
    if how == "redacted by hand":
        path = f"/2010-04-01/Accounts/{taken.account_sid}/Messages/{taken.sid}.json"
        redacted = await world.twilio_control.post(
            path, data={"Body": ""}, auth=(MAIN_SID, MAIN_TOKEN)
        )
        assert redacted.is_success
    elif how != "smart encoding":
        world.twilio.state.behaviour.change(
            {"redact_bodies": True, "redact_numbers": how == "masked"}
        )

    settled = await patient(world, lost_after=AT_ONCE).resolve(organization_id)

    now = await message_of(world, organization_id, message_id)
    assert (settled, now["status"], now["provider_sid"]) == (1, "accepted", taken.sid)
    assert (await world.wallet(organization_id)).balance_micros < 10_000_000
    await world.certify()


async def test_an_ambiguous_message_is_kept_and_a_person_can_give_it_up(
    world: World,
) -> None:
    organization_id, message_id, taken = await lost_answer_and_callbacks(world)
    account = world.twilio.state.accounts[taken.account_sid]
    past_us = world.twilio.messages.accept(
        account, {"To": taken.to, "From": "+15550001111", "Body": "past us"}
    )
    world.twilio.state.behaviour.change({"redact_bodies": True})

    too_soon = await patient(world).resolve(organization_id)
    in_time = await patient(world, lost_after=AT_ONCE).resolve(organization_id)
    kept = await message_of(world, organization_id, message_id)
    alert = (await world.alerts(organization_id))["message_unconfirmed"]
    balance = (await world.wallet(organization_id)).balance_micros
    path = f"/v1/organizations/{organization_id}/messages/{message_id}/refund"
    given_up = [await world.post(path) for _ in range(2)]

    assert (too_soon, in_time, kept["status"], kept["provider_sid"]) == (0, 1, "accepted", None)
    assert taken.sid in alert
    assert past_us.sid in alert
    assert balance == 9_990_000
    assert [message["status"] for message in given_up] == ["lost", "lost"]
    assert (await world.wallet(organization_id)).balance_micros == 10_000_000
    await world.certify()


async def test_a_message_confirmed_by_twilio_cannot_be_given_up_by_hand(world: World) -> None:
    organization_id, _ = await world.organization()
    sent = await world.post(
        f"/v1/organizations/{organization_id}/messages", {"to": "+14155550100", "body": "hello"}
    )

    refused = await world.api.post(
        f"/v1/organizations/{organization_id}/messages/{sent['id']}/refund"
    )

    assert refused.status_code == 409
    assert (await world.wallet(organization_id)).balance_micros == 9_990_000


async def test_refused_credentials_do_not_end_the_run_that_looks_up(idle_world: World) -> None:
    organization_id, _ = await idle_world.organization()
    account = idle_world.twilio.state.accounts[MAIN_SID]
    path = messages_path(await idle_world.account_sid(organization_id))
    idle_world.twilio.faults.add("500", method="POST", path=path, times=1)
    await idle_world.post(
        f"/v1/organizations/{organization_id}/messages", {"to": "+14155550100", "body": "hello"}
    )
    account.auth_token = "another"

    with pytest.raises(ApplicationError) as raised:
        await patient(idle_world).resolve(organization_id)

    assert not raised.value.non_retryable


async def test_an_abandoned_message_is_resent_only_by_an_operator(
    world: World,
) -> None:
    organization_id, campaign_id = await with_unknown(world, "500")
    await three_unknown(world, organization_id, campaign_id)
    await resolve(world, organization_id, campaign_id, lost_after=AT_ONCE)
    await comes_to(world, organization_id, campaign_id, "completed")
    found = await world.read(
        lambda conn: messages.in_status(conn, organization_id, MessageStatus.LOST)
    )
    lost = [
        f"/v1/organizations/{organization_id}/messages/{message.id}/resend" for message in found
    ]

    for path in lost:
        await world.post(path)
    again = await world.api.post(lost[0])

    assert again.status_code == 409
    await ends_with_each_once(world, organization_id, campaign_id, 40)
    kept = await rows(
        world.services.engine,
        "SELECT attempt, status FROM attempts WHERE organization_id = :of",
        of=organization_id,
    )
    assert [tuple(row) for row in kept] == [(1, "lost")] * 3


async def test_a_single_message_that_was_given_up_is_paid_again_when_it_is_sent_again(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("500", method="POST", path=path, times=1)
    sent = await world.post(
        f"/v1/organizations/{organization_id}/messages", {"to": "+14155550100", "body": "hello"}
    )
    assert await patient(world, lost_after=AT_ONCE).resolve(organization_id) == 1
    refunded = (await world.wallet(organization_id)).balance_micros

    again = await world.post(f"/v1/organizations/{organization_id}/messages/{sent['id']}/resend")

    assert (sent["status"], refunded, again["status"]) == ("unknown", 10_000_000, "accepted")
    assert (await world.wallet(organization_id)).balance_micros == 9_990_000
    await world.certify()


@pytest.mark.parametrize("reason", ["suspended", "frozen"])
async def test_a_message_resent_while_its_organization_may_not_send_waits_in_a_parked_campaign(
    idle_world: World, reason: str
) -> None:
    world, engine = idle_world, idle_world.services.engine
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=1)
    campaign = await world.campaign_now(organization_id, campaign_id)
    [message] = await hand_over(engine, campaign)
    await settle_replies(
        engine, Reply(message=message, status=MessageStatus.LOST), organization_id=organization_id
    )
    assert (await reserve(engine, campaign)).status == "completed"
    if reason == "suspended":
        await world.lapse(subscription_id)
    else:
        await world.post(f"/v1/organizations/{organization_id}/wallet/freeze", {"reason": "asked"})

    sent = await world.post(f"/v1/organizations/{organization_id}/messages/{message.id}/resend")

    now = await world.campaign_now(organization_id, campaign_id)
    assert (sent["status"], now.status, now.reason) == ("pending", "parked", reason)
    await world.certify()


@pytest.mark.parametrize("end", ["failed", "delivered"])
async def test_an_ambiguous_message_is_settled_by_its_callback(world: World, end: str) -> None:
    """When its time was over, Twilio's list had two candidates; later its genuine callback comes."""
    organization_id, message_id, taken = await lost_answer_and_callbacks(world)
    account = world.twilio.state.accounts[taken.account_sid]
    past_us = world.twilio.messages.accept(
        account, {"To": taken.to, "From": "+15550001111", "Body": "past us"}
    )
    world.twilio.state.behaviour.change({"redact_bodies": True})
    assert await patient(world, lost_after=AT_ONCE).resolve(organization_id) == 1
    assert (await message_of(world, organization_id, message_id))["provider_sid"] is None
    world.twilio.state.behaviour.change({"redact_bodies": False})
    await delivered(past_us)
    taken.status, taken.error_code = end, 30008 if end == "failed" else None
    query = "UPDATE messages SET sending_at = sending_at - interval '2 minutes'"
    await run(world.services.engine, query)
    taken.created -= 100
    past_us.created -= 1000
    world.twilio.callbacks.notify(taken)

    async def settled() -> bool:
        now = await message_of(world, organization_id, message_id)
        return (now["provider_sid"], now["delivery_status"]) == (taken.sid, end)

    await until(settled, f"{end}, as Twilio says")
    await run(world.services.engine, query.replace("-", "+"))
    balance = (await world.wallet(organization_id)).balance_micros
    assert balance == (10_000_000 if end == "failed" else 9_990_000)
    await world.certify()
