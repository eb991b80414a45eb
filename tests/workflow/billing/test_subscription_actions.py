"""The host application's actions on a subscription: the same acts have the same outcome at every
provider.
"""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from db.billing import payments
from domain.billing.subscription import State
from tests.workflow.actors import Actor, current, onboard
from tests.world import until

WHY = {"reason": "asked for"}


async def ask(
    actor: Actor, organization_id: str, act: str, body: Any, *, key: str | None = None
) -> httpx.Response:
    headers = {} if key is None else {"idempotency-key": key}
    path = f"/v1/organizations/{organization_id}/subscription/{act}"
    return await actor.world.api.post(path, json=body, headers=headers)


async def test_a_suspension_by_api_applies_everywhere_until_it_is_resumed(
    actor: Actor,
) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    await actor.subscribe(organization_id)

    responses = [await ask(actor, organization_id, "suspend", WHY) for _ in range(2)]
    refused = await world.debit(organization_id)
    await world.applied(organization_id, "suspended")

    assert [(response.status_code, response.json()["status"]) for response in responses] == [
        (200, "paused")
    ] * 2
    assert refused.status_code == 423
    assert await world.subaccount_status(organization_id) == "suspended"

    again = await ask(actor, organization_id, "resume", WHY)
    await world.applied(organization_id, "active")

    assert (again.status_code, again.json()["outcome"]) == (200, "resumed")
    assert await world.subaccount_status(organization_id) == "active"
    await world.certify()


async def test_the_debt_is_collected_once_for_a_key_and_allows_the_resumption(
    actor: Actor,
) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    subscription = await actor.subscribe(organization_id)
    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    await world.applied(organization_id, "suspended")
    needs = (await ask(actor, organization_id, "resume", WHY)).json()
    owed = needs["subscription"]["outstanding"]

    taken = [await ask(actor, organization_id, "collect", owed, key="attempt-1") for _ in range(2)]
    again = (await ask(actor, organization_id, "resume", WHY)).json()
    await world.applied(organization_id, "active")

    assert needs["outcome"] == "needs_payment"
    assert [(response.status_code, response.json()["status"]) for response in taken] == [
        (200, "completed")
    ] * 2
    assert taken[0].json()["payment_id"] == taken[1].json()["payment_id"]
    assert again["outcome"] == "resumed"

    async def booked() -> bool:
        found = await world.read(
            lambda conn: payments.of_organization(conn, organization_id, limit=10)
        )
        return len(found) == 2

    await until(booked, "the first payment and this one booked")
    await world.certify()


async def test_a_cancellation_serves_what_was_paid_for_and_cannot_be_undone(actor: Actor) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    await actor.subscribe(organization_id)

    responses = [await ask(actor, organization_id, "cancel", WHY) for _ in range(2)]
    standing = await world.at_rest(organization_id)
    now = await current(world, organization_id)

    assert [(response.status_code, response.json()["status"]) for response in responses] == [
        (200, "canceled")
    ] * 2
    assert now is not None
    assert now.snapshot.state is State.CANCELED
    assert (standing.status, standing.deadline) == ("active", now.snapshot.access_until)
    assert (await ask(actor, organization_id, "resume", WHY)).json()[
        "outcome"
    ] == "needs_new_consent"
    assert (await ask(actor, organization_id, "suspend", WHY)).status_code == 409


async def test_a_change_of_plan_says_whether_the_customer_has_to_consent(actor: Actor) -> None:
    organization_id = await onboard(actor.world)
    await actor.subscribe(organization_id)
    actor.world.paypal.state.add_plan(id="other", name="Other", amount=Decimal(99), currency="USD")
    actor.world.stripe.state.add_price("other", 9900, "usd")

    response = await ask(actor, organization_id, "plan", {"plan_id": "other"})

    assert response.status_code == 200
    assert (response.json()["approve_url"] is None) == (actor.name == "stripe")


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("suspend", WHY),
        ("resume", WHY),
        ("plan", {"plan_id": "any"}),
        ("collect", {"amount": "1", "currency": "USD"}),
    ],
)
async def test_a_checkout_that_nobody_consented_to_can_only_be_canceled(
    actor: Actor, act: str, body: dict[str, str]
) -> None:
    organization_id = await onboard(actor.world)
    without = await ask(actor, organization_id, act, body, key="k")
    urls = {"return_url": "https://host.test/done", "cancel_url": "https://host.test/not"}
    checkout_body = {"provider": actor.name, "plan_id": actor.plan, **urls}
    await actor.world.post(
        f"/v1/organizations/{organization_id}/subscription/checkout", checkout_body
    )

    response = await ask(actor, organization_id, act, body, key="k")

    assert (without.status_code, response.status_code) == (409, 409)
    assert "has not consented" in response.json()["detail"]


async def test_an_action_that_the_state_forbids_is_409_and_an_object_unknown_to_the_provider_is_422(
    actor: Actor,
) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    await actor.subscribe(organization_id)
    much = {"amount": "7", "currency": "USD"}

    unknown_plan = await ask(actor, organization_id, "plan", {"plan_id": "nobodys"})
    nothing_owed = await ask(actor, organization_id, "collect", much, key="attempt-1")
    another = await ask(actor, organization_id, "collect", much | {"amount": "8"}, key="attempt-1")
    await ask(actor, organization_id, "cancel", WHY)
    ended = [
        await ask(actor, organization_id, *act)
        for act in (("suspend", WHY), ("plan", {"plan_id": "x"}))
    ]

    assert (unknown_plan.status_code, nothing_owed.status_code, another.status_code) == (
        422,
        409,
        409,
    )
    assert "the key belongs to" in another.json()["detail"]
    assert [response.status_code for response in ended] == [409, 409]
    assert all("the subscription is canceled" in response.json()["detail"] for response in ended)
    await world.certify()


async def test_an_answer_to_a_key_stays_without_asking_again(actor: Actor) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    subscription = await actor.subscribe(organization_id)
    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    await world.applied(organization_id, "suspended")
    owed = (await ask(actor, organization_id, "resume", WHY)).json()["subscription"]["outstanding"]
    first = await ask(actor, organization_id, "collect", owed, key="attempt-1")
    fault = world.simulator(actor.name).faults.add("503", path="/v1/")

    again = await ask(actor, organization_id, "collect", owed, key="attempt-1")
    world.simulator(actor.name).faults.standing.remove(fault)

    assert first.json()["status"] == "completed"
    assert (again.status_code, again.json()) == (200, first.json())


async def test_a_provider_that_does_not_answer_is_503_and_changes_nothing(actor: Actor) -> None:
    world, organization_id = actor.world, await onboard(actor.world)
    subscription = await actor.subscribe(organization_id)
    simulator = world.simulator(actor.name)
    fault = simulator.faults.add("503", path=f"/v1/.*{subscription.id}")

    response = await ask(actor, organization_id, "suspend", WHY)
    simulator.faults.standing.remove(fault)

    assert response.status_code == 503
    assert (await world.wallet(organization_id)).pays


async def test_a_bad_body_is_named(actor: Actor) -> None:
    organization_id = await onboard(actor.world)
    for act, body in (
        ("suspend", {}),
        ("suspend", {"reason": ""}),
        ("cancel", {"reason": "x" * 121}),
        ("plan", {"plan_id": "two words"}),
        ("collect", {"amount": "0.0000001", "currency": "USD"}),
    ):
        response = await ask(actor, organization_id, act, body, key="k")
        assert response.status_code == 422, (act, body)
        assert response.json()["errors"], (act, body)
    assert (await ask(actor, "nobody-here", "suspend", WHY)).status_code == 404
