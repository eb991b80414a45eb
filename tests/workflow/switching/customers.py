"""Customers who switch from one provider to the other, and their charges at both providers."""

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from activities.workflow_contracts import SUBSCRIPTION_SWITCH, SwitchStart, switch_workflow_id
from db.billing import subscriptions
from db.switching import switches
from db.switching.switches import Switch
from domain.billing.subscription import Provider, Subscription
from domain.switching.switch import OVER, SwitchStatus
from simulators.paypal.state import DEFAULT_PLAN
from simulators.stripe.state import DEFAULT_PRICE
from tests.workflow.stops import Boundaries
from tests.world import World, until

PERIOD = timedelta(days=30)
PLANS = {Provider.PAYPAL: DEFAULT_PLAN, Provider.STRIPE: DEFAULT_PRICE}
OTHER = {Provider.PAYPAL: Provider.STRIPE, Provider.STRIPE: Provider.PAYPAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """An organization that pays at `source` since `paid_at`, for a period."""

    organization_id: str
    source: Provider
    subscription_id: str
    paid_at: datetime

    @property
    def target(self) -> Provider:
        return OTHER[self.source]


async def customer(
    world: World, source: Provider = Provider.PAYPAL, *, renews_in: timedelta = timedelta(days=10)
) -> Customer:
    """An organization with money and an active subscription that renews this soon."""
    name = f"org-{uuid.uuid4().hex[:12]}"
    opened = (
        await world.twilio_control.post("/_sim/accounts", json={"friendly_name": name})
    ).json()
    account = opened["accounts"][0]["sid"]
    body = {
        "id": name,
        "name": name,
        "currency": "USD",
        "sender": "+15550001111",
        "price_per_segment": "0.01",
    }
    await world.post("/v1/organizations", {**body, "twilio_account_sid": account})
    paid_at = datetime.now(UTC).replace(microsecond=0) + renews_in - PERIOD
    if source is Provider.PAYPAL:
        created = await world.act("subscriptions", {"custom_id": name, "at": paid_at.isoformat()})
        subscription_id = created["object"]["id"]
    else:
        at_stripe, _ = world.stripe.lifecycle.subscribe(DEFAULT_PRICE, organization_id=name)
        world.stripe.renewals.began(at_stripe, int(paid_at.timestamp()))
        subscription_id = at_stripe["id"]
    linked = {"provider": source.value, "subscription_id": subscription_id}
    await world.post(f"/v1/organizations/{name}/subscription", linked)
    money = {"reference_id": "first", "amount": "10.00", "currency": "USD"}
    await world.post(f"/v1/organizations/{name}/wallet/credits", money)
    await world.at_rest(name)
    return Customer(
        organization_id=name, source=source, subscription_id=subscription_id, paid_at=paid_at
    )


async def start_switch(
    world: World, customer: Customer, *, plan: str | None = None
) -> dict[str, Any]:
    body = {"provider": customer.target.value, "plan_id": plan or PLANS[customer.target]}
    body |= {"return_url": "https://host.test/moved", "cancel_url": "https://host.test/not"}
    return await world.post(f"/v1/organizations/{customer.organization_id}/switch", body)


async def offered(world: World, source: Provider = Provider.PAYPAL) -> Customer:
    """A customer who has a checkout link and has not consented yet."""
    moving = await customer(world, source)
    await start_switch(world, moving)
    await reached(world, moving, SwitchStatus.OFFERED)
    return moving


async def now(world: World, customer: Customer) -> Switch:
    found = await world.read(lambda conn: switches.newest(conn, customer.organization_id))
    assert found is not None
    return found


async def reached(world: World, customer: Customer, *wanted: SwitchStatus) -> Switch:
    async def there() -> Switch | None:
        found = await now(world, customer)
        assert found.state in wanted or found.state not in OVER, f"{found.state}: {found.reason}"
        return found if found.state in wanted else None

    found = await until(there, f"{customer.organization_id} {wanted}")
    assert found is not None
    return found


async def consent(world: World, customer: Customer, *, deliver: bool = True) -> None:
    """The customer finishes the checkout."""
    found = await now(world, customer)
    fields, id_ = {"deliver": deliver}, found.target_subscription_id
    if customer.target is Provider.STRIPE:
        answer = await world.stripe_control.post(f"/_sim/checkout/{id_}/complete", json=fields)
    else:
        answer = await world.paypal_control.post(f"/_sim/subscriptions/{id_}/approve", json=fields)
    assert answer.is_success, answer.text


def new_subscription_id(world: World, customer: Customer) -> str:
    """The subscription at the target that the customer has consented to."""
    if customer.target is Provider.PAYPAL:
        mine = [
            each
            for each in world.paypal.state.subscriptions.values()
            if each.custom_id == customer.organization_id
        ]
        return mine[-1].id
    [subscription] = world.stripe.state.all(
        "subscription", metadata={"organization_id": customer.organization_id}
    )
    return str(subscription["id"])


async def cancel(world: World, customer: Customer, *, deliver: bool = True) -> None:
    """The customer cancels the subscription at the source, on the provider's own site."""
    control = world.paypal_control if customer.source is Provider.PAYPAL else world.stripe_control
    path = f"/_sim/subscriptions/{customer.subscription_id}/cancel"
    assert (await control.post(path, json={"deliver": deliver})).is_success


@asynccontextmanager
async def consented_before(
    world: World, boundaries: Boundaries, customer: Customer, step: str
) -> AsyncIterator[None]:
    """The customer has finished the checkout, and the next step is held until the block ends."""
    async with boundaries.holding(step, customer.organization_id) as stop:
        await consent(world, customer)
        await stop.reached.wait()
        yield


async def current(world: World, customer: Customer) -> Subscription:
    found = await world.read(lambda conn: subscriptions.current(conn, customer.organization_id))
    assert found is not None
    return found


async def restart(world: World, customer: Customer, **limits: int) -> None:
    """Replace the switch's workflow by one that starts with other limits."""
    id_ = switch_workflow_id(customer.organization_id)
    await world.services.client.get_workflow_handle(id_).terminate(
        "a test starts it with other limits"
    )
    await world.services.client.start_workflow(
        SUBSCRIPTION_SWITCH,
        SwitchStart(organization_id=customer.organization_id, **limits),
        id=id_,
        task_queue=world.services.settings.lifecycle_task_queue,
    )


async def never_suspended(world: World, customer: Customer) -> None:
    """Not even once: the epoch counts every change of the standing."""
    standing = await world.at_rest(customer.organization_id)
    assert (standing.status, standing.epoch) == ("active", 0)
    assert (await world.debit(customer.organization_id)).status_code in (200, 201)


async def goes_on_as_before(world: World, customer: Customer) -> None:
    now_current = await current(world, customer)
    assert (now_current.provider, now_current.id) == (customer.source, customer.subscription_id)
    await never_suspended(world, customer)
    assert "two_subscriptions_bill" not in await world.alerts(customer.organization_id)


def charges(world: World, customer: Customer, *, periods: int = 2) -> list[datetime]:
    """The times of the customer's charges after `paid_at` for this many periods, at any provider,
    from the simulators' records.

    Advances their time, so call it last.
    """
    end = customer.paid_at + PERIOD * periods + timedelta(days=1)
    world.paypal.renewals.bill_until(end, customer.organization_id)
    world.stripe.renewals.bill_until(int(end.timestamp()), customer.organization_id)
    at_stripe = world.stripe.renewals.charges(customer.organization_id)
    return sorted(
        [
            *world.paypal.renewals.charges(customer.organization_id),
            *(datetime.fromtimestamp(at, UTC) for at in at_stripe),
        ]
    )


def each_period_once(customer: Customer, periods: int = 2) -> list[datetime]:
    """Each period is charged exactly once."""
    return [customer.paid_at + PERIOD * number for number in range(periods + 1)]


async def time_is_over(world: World, customer: Customer) -> None:
    """The checkout expires in the database, and the switch is notified."""
    over = "UPDATE migrations SET expires_at = clock_timestamp() WHERE organization_id = :id AND ended_at IS NULL"
    async with world.services.engine.begin() as conn:
        await conn.execute(text(over), {"id": customer.organization_id})
    await world.services.notifier.notify_switch(customer.organization_id)


async def delivered(world: World, event_id: str) -> bool:
    """Whether the inbox has the event and it was handled."""
    query = text("SELECT count(*) FROM inbox WHERE event_id = :id AND status = 'handled'")
    async with world.services.engine.connect() as conn:
        return bool((await conn.execute(query, {"id": event_id})).scalar_one())


def created_at_target(world: World, customer: Customer) -> int:
    """How many subscriptions or checkouts the target has of this customer."""
    if customer.target is Provider.PAYPAL:
        return sum(
            each.custom_id == customer.organization_id
            for each in world.paypal.state.subscriptions.values()
        )
    return len(
        list(
            world.stripe.state.all("checkout.session", client_reference_id=customer.organization_id)
        )
    )


def consented(world: World, customer: Customer) -> bool:
    """Whether the customer has finished the checkout, at Stripe."""
    done = {"client_reference_id": customer.organization_id, "status": "complete"}
    return bool(list(world.stripe.state.all("checkout.session", **done)))


async def another_second() -> None:
    """Providers' times are whole seconds: wait for the next second."""
    before = datetime.now(UTC).replace(microsecond=0)

    async def passed() -> bool:
        return datetime.now(UTC).replace(microsecond=0) > before

    await until(passed, "another second")


async def charged_again(world: World, customer: Customer) -> list[str]:
    """The source charges for one more period, even if it has ended; returns the ids of the
    undelivered events.
    """
    if customer.source is Provider.PAYPAL:
        return await world.happen(f"subscriptions/{customer.subscription_id}/pay")
    subscription = world.stripe.state.get(customer.subscription_id, "subscription")
    ended, subscription["status"] = subscription["status"], "active"
    events = world.stripe.lifecycle.pay(subscription)
    subscription["status"] = ended
    return [event.id for event in events if event.type == "invoice.paid"]


def deliver(world: World, provider: Provider, event_ids: Iterable[str]) -> None:
    simulator = world.simulator(provider)
    simulator.deliveries.deliver([simulator.events.all[event_id] for event_id in event_ids])
