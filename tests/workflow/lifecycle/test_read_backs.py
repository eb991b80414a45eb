"""A suspension that holds: who reactivates a subaccount past Tollgate, or has its token, has minutes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest_asyncio

from tests.world import World, until

SOON = timedelta(minutes=2)


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    """The test's own world, because its worker also reads back."""
    idle_world.start_worker()
    yield idle_world


async def suspended(world: World) -> str:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    return organization_id


async def test_a_subaccount_that_somebody_reactivates_is_suspended_again_within_minutes(
    own_world: World,
) -> None:
    organization_id = await suspended(own_world)
    account = own_world.twilio.state.accounts[await own_world.account_sid(organization_id)]
    account.status = "active"

    early = await own_world.services.read_backs.read_back(now=datetime.now(UTC))
    due = await own_world.services.read_backs.read_back(now=datetime.now(UTC) + SOON)

    async def is_suspended() -> bool:
        return account.status == "suspended"

    await until(is_suspended, "suspended again")
    assert (early, due) == (0, 1)
    await own_world.at_rest(organization_id)
    await own_world.certify()


async def test_one_that_stays_suspended_is_read_and_left_alone(own_world: World) -> None:
    await suspended(own_world)
    read = own_world.twilio.state.calls["GET Accounts/{sid}"]
    changes = len(own_world.twilio.state.status_changes)
    now = datetime.now(UTC)

    looked = [await own_world.services.read_backs.read_back(now=now + SOON) for _ in range(2)]

    assert looked == [1, 0]
    assert own_world.twilio.state.calls["GET Accounts/{sid}"] == read + 1
    assert len(own_world.twilio.state.status_changes) == changes


async def test_after_an_hour_and_after_a_reactivation_nothing_is_read_back(
    own_world: World,
) -> None:
    first, subscription_id = await own_world.organization()
    await own_world.lapse(subscription_id)
    await own_world.applied(first, "suspended")
    await own_world.pay(subscription_id)
    await own_world.applied(first, "active")
    await suspended(own_world)
    later = datetime.now(UTC) + timedelta(hours=1, minutes=1)

    looked = [await own_world.services.read_backs.read_back(now=later) for _ in range(2)]

    assert looked == [1, 0]


async def test_twilios_silence_only_delays_it(own_world: World) -> None:
    organization_id = await suspended(own_world)
    account = own_world.twilio.state.accounts[await own_world.account_sid(organization_id)]
    account.status = "active"
    path = f"/2010-04-01/Accounts/{account.sid}.json"
    fault = {"kind": "500", "method": "GET", "path": path, "times": 1}
    (await own_world.twilio_control.post("/_sim/faults", json=fault)).raise_for_status()
    now = datetime.now(UTC)

    await own_world.services.read_backs.read_back(now=now + SOON)
    still = str(account.status)
    await own_world.services.read_backs.read_back(now=now + 2 * SOON)

    async def is_suspended() -> bool:
        return account.status == "suspended"

    assert still == "active"
    await until(is_suspended, "suspended again")


async def test_a_suspension_replaces_the_token_where_that_is_set_up(idle_world: World) -> None:
    services = idle_world.services
    settings = services.settings.model_copy(update={"rotate_tokens_at_suspension": True})
    idle_world.services = replace(services, settings=settings)
    idle_world.start_worker()
    organization_id, subscription_id = await idle_world.organization()
    account = idle_world.twilio.state.accounts[await idle_world.account_sid(organization_id)]
    old, account.secondary_token = account.auth_token, "f" * 32  # made by whoever has the token

    await idle_world.lapse(subscription_id)
    await idle_world.applied(organization_id, "suspended")
    receipt = await idle_world.receipt(organization_id)
    after = idle_world.twilio.state.accounts[account.sid]

    assert after.auth_token not in (old, "f" * 32)
    assert after.secondary_token is None
    assert after.status == "suspended"
    assert [step["step"] for step in receipt.steps] == [
        "rotate_token",
        "suspend_twilio_subaccount",
        "freeze_wallet",
        "pause_campaigns",
    ]
    await idle_world.certify()


async def test_a_token_that_cannot_be_replaced_does_not_stop_the_suspension(
    idle_world: World,
) -> None:
    services = idle_world.services
    settings = services.settings.model_copy(update={"rotate_tokens_at_suspension": True})
    idle_world.services = replace(services, settings=settings)
    idle_world.start_worker()
    fault = {"kind": "500", "method": "POST", "path": "/v1/AuthTokens/Secondary"}
    (await idle_world.twilio_control.post("/_sim/faults", json=fault)).raise_for_status()
    organization_id, subscription_id = await idle_world.organization()

    await idle_world.lapse(subscription_id)
    await idle_world.applied(organization_id, "suspended")

    assert await idle_world.subaccount_status(organization_id) == "suspended"
    assert "rotation_failed" in await idle_world.alerts(organization_id)
