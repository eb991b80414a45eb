"""A recovery books what Twilio and the providers know and a restored database does not, once."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from activities.audit.recovery import Summary
from db.campaigns import unmatched_messages
from domain.alerts import AlertKind
from runtime.database_memory import Memory
from runtime.database_watch import DatabaseWatch, open_fence
from tests.restores import BROKEN_CONNECTIONS, dump, restore
from tests.workflow.actors import Actor, AtPayPal, AtStripe, onboard
from tests.workflow.campaigns.sent import comes_to, counts, paid
from tests.workflow.switching import customers
from tests.world import World, until

pytestmark = BROKEN_CONNECTIONS
RECIPIENTS = 12


class Crash(Exception):
    """In the middle of a recovery."""


async def recover(world: World, since: datetime, *, crash_at: str = "") -> tuple[Summary, str]:
    lines: list[str] = []

    def say(line: str) -> None:
        if crash_at and line.startswith(crash_at):
            raise Crash(line)
        lines.append(line)

    summary = await world.services.recovering(say).run(since, by="ops")
    return summary, "\n".join(lines)


async def send_one(world: World, organization_id: str) -> str:
    body = {"to": "+14155559999", "body": "Your order is on its way."}
    sent = await world.post(f"/v1/organizations/{organization_id}/messages", body)
    return str(sent["provider_sid"])


async def entries(world: World) -> int:
    query = text("SELECT count(*) FROM ledger_entries")
    return int((await world.read(lambda conn: conn.execute(query))).scalar_one())


async def test_payments_come_first_what_is_unknown_is_named_and_nothing_is_booked_twice(
    idle_world: World, tmp_path: Path
) -> None:
    world, dumped, began = idle_world, tmp_path / "dump", datetime.now(UTC)
    organization_id, _ = await world.organization(balance="0.05")
    campaign_id = await world.campaign(organization_id, recipients=RECIPIENTS, start=False)
    await dump(world.services.engine, dumped)
    world.start_worker()
    captured = await world.act("captures", {"amount": "1.00", "custom_id": organization_id})
    for event in captured["events"]:
        assert await world.deliver(event["id"]) == 200
    await world.at_rest(organization_id)
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start")
    await comes_to(world, organization_id, campaign_id, "completed")
    single = await send_one(world, organization_id)
    for event_id in await world.happen(
        f"payments/{captured['object']['id']}/refund", {"amount": "0.30"}
    ):
        assert await world.deliver(event_id) == 200
    await world.at_rest(organization_id)
    await world.stop_workers()
    await customers.another_second()  # PayPal's list ends with the last whole second

    await restore(world.services.engine, dumped)
    with pytest.raises(Crash):
        await recover(world, began, crash_at="messages:")
    with pytest.raises(Crash):
        await recover(world, began, crash_at="payments:")
    summary, lines = await recover(world, began)
    booked = await entries(world)
    again, _ = await recover(world, began)

    assert (await counts(world, organization_id, campaign_id))["accepted"] == RECIPIENTS
    assert await paid(world, organization_id) == RECIPIENTS
    assert (await world.wallet(organization_id)).balance_micros == 750_000 - 10_000 * RECIPIENTS
    assert await entries(world) == booked
    assert (summary.unmatched, summary.problems, summary.complete) == (1, (), False), lines
    assert again.unmatched == 1
    [broken] = [finding for finding in summary.findings if not finding.holds]
    assert broken.first == f"{organization_id}, {single}"
    assert single in (await world.alerts(organization_id))[AlertKind.MESSAGE_UNMATCHED]
    async with world.services.engine.begin() as conn:
        assert await unmatched_messages.close(
            conn, organization_id, single, by="ops", because="waived"
        )
    last, _ = await recover(world, began)
    assert last.complete
    assert AlertKind.MESSAGE_UNMATCHED not in await world.alerts(organization_id)


async def test_what_cannot_be_paid_is_not_sent_again_and_is_booked_once_it_can(
    idle_world: World, tmp_path: Path
) -> None:
    world, dumped, began = idle_world, tmp_path / "dump", datetime.now(UTC)
    organization_id, _ = await world.organization(balance="0.05")
    campaign_id = await world.campaign(organization_id, recipients=RECIPIENTS, start=False)
    await dump(world.services.engine, dumped)
    path = f"/v1/organizations/{organization_id}/wallet/credits"
    credit = {"reference_id": "by hand", "amount": "1.00", "currency": "USD"}
    await world.post(path, credit)
    world.start_worker()
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start")
    await comes_to(world, organization_id, campaign_id, "completed")
    await world.stop_workers()
    await restore(world.services.engine, dumped)

    summary, _ = await recover(world, began)
    lacking = await counts(world, organization_id, campaign_id)
    await world.post(path, credit)
    after, lines = await recover(world, began)

    assert (lacking["accepted"], lacking["skipped"]) == (5, RECIPIENTS - 5)
    assert summary.unmatched == RECIPIENTS - 5
    assert after.complete, lines
    assert await paid(world, organization_id) == RECIPIENTS
    services = world.services
    assert await open_fence(services.engine, services.client, by="ops", because="recovered")
    world.start_worker()
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start")
    await comes_to(world, organization_id, campaign_id, "completed")
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    assert set(Counter(message.to for message in account.messages).values()) == {1}


@pytest.mark.parametrize("provider", ["paypal", "stripe"])
async def test_what_a_provider_told_since_is_heard_again(
    idle_world: World, tmp_path: Path, provider: str
) -> None:
    world, dumped = idle_world, tmp_path / "dump"
    actor: Actor = AtPayPal(world, world.paypal_control)
    if provider == "stripe":
        actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world)
    world.start_worker()
    subscription = await actor.subscribe(organization_id)
    checkout_id = await actor.link(organization_id, "5.00")
    await customers.another_second()
    began = datetime.now(UTC)
    await dump(world.services.engine, dumped)
    await actor.deliver(await actor.pay_topup(checkout_id))
    topup = await until(lambda: actor.topups(organization_id), "the top-up is booked")
    await actor.happen(f"payments/{topup[0].object_id}/refund", amount="2.00")
    await actor.top_up(organization_id, "1.00")  # its checkout is unknown afterwards, too
    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    await world.applied(organization_id, "suspended")
    before = await world.wallet(organization_id)
    await world.stop_workers()
    await customers.another_second()

    await restore(world.services.engine, dumped)
    lost = await world.wallet(organization_id)
    summary, lines = await recover(world, began)
    again, _ = await recover(world, began)

    assert (lost.balance_micros, before.balance_micros) == (10_000_000, 14_000_000)
    assert summary.complete, lines
    assert again.complete
    assert (await world.wallet(organization_id)).balance_micros == before.balance_micros
    services = world.services
    assert await open_fence(services.engine, services.client, by="ops", because="recovered")
    world.start_worker()
    await world.applied(organization_id, "suspended")


async def test_a_process_that_starts_after_a_restore_learns_of_it_from_temporal(
    idle_world: World, tmp_path: Path
) -> None:
    world, dumped = idle_world, tmp_path / "dump"
    engine, client = world.services.engine, world.services.client
    await dump(engine, dumped)
    before = Memory()
    await run_a_second(world)
    await DatabaseWatch(engine, client, before).look_first()
    cut_off = Memory()
    cut_off.known = before.known
    world.services.memory.known = None
    await restore(engine, dumped)

    started = Memory()
    await DatabaseWatch(engine, client, started).look_first()

    assert "its mark is" in started.fence
    assert await open_fence(engine, client, by="ops", because="a drill")
    later = Memory()
    await DatabaseWatch(engine, client, later).look_first()
    assert later.fence == ""
    await DatabaseWatch(engine, client, cut_off).look_first()  # it saw nothing of the shut fence
    assert cut_off.fence == ""


async def run_a_second(world: World) -> None:
    """The mark is advanced, as by processes that ran for a while."""
    async with world.services.engine.begin() as conn:
        await conn.execute(text("UPDATE database_marks SET number = number + 100"))
