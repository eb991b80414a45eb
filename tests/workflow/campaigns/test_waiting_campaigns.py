"""A waiting campaign shows why, and until when: in the API, in explain, in the metrics, by an
alert.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.workflow_contracts import campaign_workflow_id
from db.campaigns import runs
from domain.campaigns.waits import Waits
from simulators.twilio.app import MAIN_SID
from tests.builders import run
from tests.workflow.campaigns.sent import (
    accepted,
    comes_to,
    counts,
    ends_with_each_once,
    paid,
    settled,
)
from tests.workflow.stops import messages_path
from tests.world import World, until


async def shown(world: World, organization_id: str, campaign_id: UUID) -> dict[str, Any]:
    answer = await world.api.get(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}")
    found: dict[str, Any] = answer.json()
    return found


async def waits(world: World, organization_id: str, campaign_id: UUID, code: str) -> dict[str, Any]:
    """Wait until the API shows this wait; returns the campaign."""

    async def reached() -> dict[str, Any] | None:
        now = await shown(world, organization_id, campaign_id)
        return now if now["waiting"] is not None and now["waiting"]["code"] == code else None

    found = await until(reached, f"a campaign that waits for {code}")
    assert found is not None
    return found


async def watch(world: World, *, later: timedelta = timedelta(0)) -> None:
    """The work of upkeep every half minute."""
    async with world.services.engine.begin() as conn:
        await runs.watch(conn, now=datetime.now(UTC) + later)


async def story(world: World, organization_id: str) -> str:
    answer = await world.api.get(f"/v1/organizations/{organization_id}/explain")
    return "\n".join(answer.json()["story"])


async def test_an_hour_of_pause_requested_by_twilio_is_shown_everywhere_and_reserves_no_money(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("429", method="POST", path=path, times=1, skip=5, retry_after=3600)
    campaign_id = await world.campaign(organization_id, recipients=300)

    now = await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)
    at_rest = await settled(world, organization_id, campaign_id)
    await watch(world)

    rest = datetime.fromisoformat(now["waiting"]["until"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < rest <= timedelta(hours=1)
    assert (now["status"], now["progress"]["remaining_seconds"]) == ("running", None)
    assert await paid(world, organization_id) == at_rest["accepted"]
    assert "it waits since" in await story(world, organization_id)
    assert "Twilio asked to wait" in await story(world, organization_id)
    assert "Twilio asked to wait" in (await world.alerts(organization_id))["campaign_waits"]
    metrics = (await world.api.get("/metrics")).text
    assert 'tollgate_campaigns_waiting{reason="twilio_limit"}' in metrics

    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await world.post(f"{base}/pause")
    await world.post(f"{base}/resume")  # a person can skip the wait
    await ends_with_each_once(world, organization_id, campaign_id, 300)
    await watch(world)
    assert "campaign_waits" not in await world.alerts(organization_id)


async def test_a_campaign_says_that_twilio_is_unreachable_and_goes_on_afterwards(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    fault = world.twilio.faults.add("500", method="POST", path=path)
    campaign_id = await world.campaign(organization_id, recipients=300)

    async def tried_again() -> bool:
        return fault.hits > 100

    await waits(world, organization_id, campaign_id, Waits.TWILIO_UNREACHABLE)
    await until(tried_again, "another try")
    now = await shown(world, organization_id, campaign_id)

    assert now["progress"]["unconfirmed"] < 110  # not all 300: one window, then one by one
    await watch(world, later=timedelta(minutes=6))
    assert "campaign_waits" in await world.alerts(organization_id)
    world.heal()
    await accepted(world, organization_id, 199)

    async def all_handed_over() -> bool:
        found = await counts(world, organization_id, campaign_id)
        return found["accepted"] + found["unknown"] == 300

    await until(all_handed_over, "every message sent")


async def test_refused_credentials_raise_an_alert_and_the_campaign_resumes_with_the_right_ones(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    account = world.twilio.state.accounts[MAIN_SID]
    token, account.auth_token = account.auth_token, "another"
    campaign_id = await world.campaign(organization_id, recipients=5)

    now = await waits(world, organization_id, campaign_id, Waits.TWILIO_CREDENTIALS)

    account.auth_token = token
    assert now["waiting"]["until"] is not None
    assert (await counts(world, organization_id, campaign_id))["refused"] == 0


async def test_an_unconfirmed_message_is_not_called_sent(world: World) -> None:
    organization_id, _ = await world.organization()
    world.twilio.state.behaviour.change({"sending_after": 30.0})
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("reset_after_acceptance", method="POST", path=path, times=3, skip=10)
    campaign_id = await world.campaign(organization_id, recipients=40)

    now = await waits(world, organization_id, campaign_id, Waits.UNCONFIRMED)

    assert now["waiting"]["message"].startswith("Twilio has not confirmed 3 messages")
    assert (now["progress"]["unconfirmed"], now["progress"]["remaining_seconds"]) == (3, None)
    assert "with all 40 handed over, 3 of them not confirmed by Twilio" in await story(
        world, organization_id
    )


async def test_a_campaign_whose_run_does_not_report_says_so_and_alerts(idle_world: World) -> None:
    world = idle_world
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=5)
    await run(world.services.engine, "UPDATE campaigns SET since = since - interval '6 minutes'")

    now = await shown(world, organization_id, campaign_id)
    await watch(world)
    alerts = await world.alerts(organization_id)

    assert now["waiting"]["code"] == Waits.NOT_HEARD
    assert "Temporal or a worker is down" in alerts["campaign_waits"]
    world.start_worker()
    await comes_to(world, organization_id, campaign_id, "completed")
    await watch(world)
    assert "campaign_waits" not in await world.alerts(organization_id)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("pause", Waits.PAUSED),
        ("freeze", "frozen"),
        ("suspend", "suspended"),
        ("spend", "insufficient_funds"),
    ],
)
async def test_the_reason_of_a_stop_is_shown_in_one_place(
    world: World, what: str, code: str
) -> None:
    organization_id, _ = await world.organization(balance="0.05" if what == "spend" else "10.00")
    campaign_id = await world.campaign(organization_id, recipients=3000)
    base = f"/v1/organizations/{organization_id}"
    if what == "pause":
        await world.post(f"{base}/campaigns/{campaign_id}/pause")
    elif what == "freeze":
        await world.post(f"{base}/wallet/freeze", {"reason": "audit"})
    elif what == "suspend":
        await world.post(f"{base}/suspend", {"reason": "abuse"})

    now = await waits(world, organization_id, campaign_id, code)

    assert now["waiting"]["since"] is not None
    assert now["waiting"]["message"] in await story(world, organization_id)
    assert now["progress"]["remaining_seconds"] is None
    if what == "spend":
        assert (
            now["waiting"]["message"]
            == "the wallet has 0.00 USD available, and the next message costs 0.01 USD"
        )


async def test_a_scheduled_campaign_says_until_when_it_waits(world: World) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=5, start=False)
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await world.post(f"{base}/start", {"at": at.isoformat()})

    now = await shown(world, organization_id, campaign_id)

    assert (now["waiting"]["code"], datetime.fromisoformat(now["waiting"]["until"])) == (
        Waits.SCHEDULED,
        at,
    )


async def test_an_overdue_campaign_whose_run_does_not_report_says_so_and_alerts(
    idle_world: World,
) -> None:
    world = idle_world
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=5, start=False)
    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await world.post(f"{base}/start", {"at": (datetime.now(UTC) + timedelta(days=1)).isoformat()})
    await run(
        world.services.engine, "UPDATE campaigns SET scheduled_at = now() - interval '6 minutes'"
    )

    now = await shown(world, organization_id, campaign_id)
    await watch(world)

    assert (now["status"], now["waiting"]["code"]) == ("scheduled", Waits.NOT_HEARD)
    assert "campaign_waits" in await world.alerts(organization_id)
    assert (
        'tollgate_campaigns_waiting{reason="not_heard"} 1.0'
        in (await world.api.get("/metrics")).text
    )


async def waits_an_hour(world: World, organization_id: str, **fault: Any) -> UUID:
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add(
        "429", method="POST", path=path, times=1, skip=5, retry_after=3600, **fault
    )
    campaign_id = await world.campaign(organization_id, recipients=30)
    await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)
    await settled(world, organization_id, campaign_id)
    return campaign_id


async def test_a_pause_requested_by_twilio_lasts_through_a_suspension(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await waits_an_hour(world, organization_id)
    before = await shown(world, organization_id, campaign_id)

    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    suspended = await shown(world, organization_id, campaign_id)
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")
    after = await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)
    at_rest = await settled(world, organization_id, campaign_id)

    assert (suspended["waiting"]["code"], suspended["waiting"]["until"]) == ("suspended", None)
    assert after["waiting"]["until"] == before["waiting"]["until"]
    assert at_rest["accepted"] < 30
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/pause")
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/resume")
    await ends_with_each_once(world, organization_id, campaign_id, 30)


async def test_a_wait_that_has_ended_is_no_longer_shown_when_a_campaign_resumes(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await waits_an_hour(world, organization_id)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    await run(
        world.services.engine, "UPDATE campaigns SET waits_until = now() - interval '1 second'"
    )

    await world.pay(subscription_id)

    await ends_with_each_once(world, organization_id, campaign_id, 30)


async def test_another_sender_does_not_wait_for_the_limit_of_the_former_one(world: World) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await waits_an_hour(world, organization_id)

    answer = await world.api.patch(
        f"/v1/organizations/{organization_id}", json={"sender": "+15550002222"}
    )

    assert answer.status_code == 200
    await ends_with_each_once(world, organization_id, campaign_id, 30)


@pytest.mark.parametrize("seconds", [30, 280])
async def test_a_campaign_that_is_canceled_during_a_pause_of_twilios_ends_at_once(
    world: World, seconds: int
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("429", method="POST", path=path, times=1, skip=5, retry_after=seconds)
    campaign_id = await world.campaign(organization_id, recipients=30)
    await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)

    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/cancel")

    await is_over(world, organization_id, campaign_id)


async def is_over(world: World, organization_id: str, campaign_id: UUID) -> None:
    handle = world.services.client.get_workflow_handle(
        campaign_workflow_id(organization_id, campaign_id)
    )

    async def ended() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED

    await until(ended, "a run that has ended")


async def test_a_campaign_goes_on_at_once_when_a_person_resumes_it_during_a_pause_of_twilios(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("429", method="POST", path=path, times=1, skip=5, retry_after=280)
    campaign_id = await world.campaign(organization_id, recipients=30)
    await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)
    base = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"

    await world.post(f"{base}/pause")
    await world.post(f"{base}/resume")

    await ends_with_each_once(world, organization_id, campaign_id, 30)


async def test_a_suspension_during_a_pause_of_twilios_gives_the_money_back_at_once(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("429", method="POST", path=path, times=1, skip=5, retry_after=280)
    campaign_id = await world.campaign(organization_id, recipients=30)
    await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)

    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")

    async def given_back() -> bool:
        return (await counts(world, organization_id, campaign_id))["reserved"] == 0

    await until(given_back, "what is not sent is paid back")


async def test_a_notification_without_a_change_keeps_paid_messages_during_a_short_pause(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    world.twilio.faults.add("429", method="POST", path=path, times=1, skip=5, retry_after=120)
    campaign_id = await world.campaign(organization_id, recipients=30)
    await waits(world, organization_id, campaign_id, Waits.TWILIO_LIMIT)
    handle = world.services.client.get_workflow_handle(
        campaign_workflow_id(organization_id, campaign_id)
    )

    for _ in range(3):
        await handle.signal("ring")

    async def looked() -> bool:
        history = await handle.fetch_history()
        return (
            sum(event.HasField("timer_canceled_event_attributes") for event in history.events) > 0
        )

    await until(looked, "a run that woke")
    now = await counts(world, organization_id, campaign_id)
    assert (now["accepted"] + now["reserved"], now["pending"]) == (30, 0)
    assert (await shown(world, organization_id, campaign_id))["waiting"][
        "code"
    ] == Waits.TWILIO_LIMIT


async def test_lifting_a_freeze_during_a_suspension_leaves_the_suspension_as_the_reason(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    base = f"/v1/organizations/{organization_id}"
    campaign_id = await world.campaign(organization_id, recipients=900)
    await world.post(f"{base}/wallet/freeze", {"reason": "audit"})
    await waits(world, organization_id, campaign_id, "frozen")
    await world.lapse(subscription_id)

    await world.post(f"{base}/wallet/unfreeze")
    suspended = await shown(world, organization_id, campaign_id)
    await world.pay(subscription_id)

    assert suspended["waiting"]["code"] == "suspended"
    await ends_with_each_once(world, organization_id, campaign_id, 900)
