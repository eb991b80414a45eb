"""How many calls a comparison takes, counted: as few as the lists of the providers allow."""

import hashlib
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from pydantic_core import to_jsonable_python
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.envconfig import ClientConnectConfig
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.audit import differences
from activities.audit.budgets import CALLS_PER_SECOND, Budgets, Endpoint
from activities.audit.passes import Pass, Passes
from activities.notifier import Notifier
from bench import many_organizations
from db.campaigns import pace
from domain.audit.reconciliation import Subject
from domain.billing.subscription import Provider
from providers.http import fast_client
from providers.stripe import Stripe
from providers.twilio import Twilio
from runtime import client, reconciliation
from simulators.serving import serve
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET, StripeSimulator
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from simulators.twilio.state import Account
from tests.builders import rows, run
from tests.soak import also_soaking

ALL_AT_STRIPE = """
    UPDATE subscriptions
    SET provider = 'stripe', provider_subscription_id = 'sub_' || substr(organization_id, 5)
"""
DIFFERING = (
    "SELECT organization_id, detail FROM alerts WHERE kind = 'differs' AND cleared_at IS NULL"
)
ALERT = "INSERT INTO alerts (organization_id, kind, detail) VALUES (:of, 'differs', :detail)"
CHECKOUT = """
    UPDATE subscriptions SET provider_subscription_id = :id, state = 'pending', checkout_url = 'https://pay'
    WHERE organization_id = :of
"""
LONGEST = 15 * 60


@dataclass
class Compared:
    """A database of many organizations, the simulators with the same, and the calls made to them."""

    passes: Passes
    twilio: TwilioSimulator
    stripe: StripeSimulator
    calls: Counter[str] = field(default_factory=Counter)

    async def reconcile(self, subject: Subject) -> Pass:
        """As the workflow does."""
        at = Pass(subject=subject)
        while not at.done:
            at = await ActivityEnvironment().run(self.passes.reconcile, at)
        return at


def fill_twilio(simulator: TwilioSimulator, number: int) -> None:
    for n in range(1, number + 1):
        sid = "AC" + hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()
        simulator.state.accounts[sid] = Account(
            sid=sid,
            auth_token=f"{n:032x}",
            friendly_name=f"Company {n}",
            owner=MAIN_SID,
            status="suspended" if n % 100 == 0 else "active",
        )


def fill_stripe(simulator: StripeSimulator, number: int) -> None:
    for n in range(1, number + 1):
        simulator.state.add(
            "subscription",
            "sub",
            id=f"sub_{n}",
            status="active",
            customer="cus_1",
            latest_invoice=None,
            items={"object": "list", "data": []},
            metadata={"organization_id": f"org-{n}"},
        )


@asynccontextmanager
async def comparing(engine: AsyncEngine, number: int) -> AsyncIterator[Compared]:
    """All organizations agree with Twilio and Stripe. Nobody reaches Temporal."""
    await many_organizations.fill(engine, number)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL statement_timeout = 0"))
        await conn.execute(text(ALL_AT_STRIPE))
    calls = Counter[str]()

    async def count(request: httpx.Request) -> None:
        calls[f"{request.method} {request.url.path.rsplit('/', 1)[-1]}"] += 1

    async with (
        serve(TwilioSimulator()) as twilio,
        serve(StripeSimulator()) as stripe,
        fast_client() as to_twilio,
        fast_client() as to_stripe,
    ):
        fill_twilio(twilio, number)
        fill_stripe(stripe, number)
        for to_provider in (to_twilio, to_stripe):
            to_provider.event_hooks["request"].append(count)
        at_stripe = Stripe(
            client=to_stripe,
            base_url=stripe.url,
            api_key=API_KEY,
            webhook_secrets=[WEBHOOK_SECRET],
        )
        at_twilio = Twilio(
            client=to_twilio, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=twilio.url
        )
        nowhere = await client.connect(ClientConnectConfig(target_host="127.0.0.1:1"), lazy=True)
        notifier = Notifier(
            client=nowhere, lifecycle_task_queue="nobody", campaign_task_queue="nobody"
        )
        yield Compared(
            passes=Passes(
                engine,
                reconciliation.comparisons(
                    engine, {Provider.STRIPE: at_stripe}, at_twilio, notifier
                ),
            ),
            twilio=twilio,
            stripe=stripe,
            calls=calls,
        )


@also_soaking
async def test_organizations_are_compared_by_pages_of_a_thousand_and_of_a_hundred(
    engine: AsyncEngine, soaking: bool
) -> None:
    number = 100_000 if soaking else 2_000
    async with comparing(engine, number) as world:
        began = time.monotonic()
        at_twilio = await world.reconcile(Subject.TWILIO)
        at_stripe = await world.reconcile(Subject.STRIPE)
        took = time.monotonic() - began

    assert (at_twilio.compared, at_twilio.differing) == (number, 0)
    assert (at_stripe.compared, at_stripe.differing) == (number, 0)
    assert world.calls == {
        "GET Accounts.json": math.ceil(number / 1_000),
        "GET subscriptions": math.ceil(number / 100),
        "GET invoices": 1,
    }
    assert took <= LONGEST


async def test_only_what_looks_different_or_is_not_listed_is_read_by_itself(
    engine: AsyncEngine,
) -> None:
    async with comparing(engine, 300) as world:
        accounts, objects = world.twilio.state.accounts, world.stripe.state.objects
        first, second, third = (sid for sid in list(accounts)[1:4])
        accounts[first].status = "suspended"
        accounts[second].status = "closed"
        del accounts[third]
        objects["sub_5"]["status"] = "unpaid"
        objects["sub_6"]["status"] = "canceled"
        del objects["sub_7"]

        at_twilio = await world.reconcile(Subject.TWILIO)
        at_stripe = await world.reconcile(Subject.STRIPE)

    differing = {row.organization_id: row.detail for row in await rows(engine, DIFFERING)}
    assert (at_twilio.differing, at_stripe.differing) == (3, 3)
    assert differing == {
        "org-1": "the standing is active, the Twilio subaccount suspended",
        "org-2": "the standing is active, the Twilio subaccount closed",
        "org-3": f"Twilio does not have the subaccount {third}",
        "org-5": "stripe reports suspended_nonpayment, the database has active",
        "org-6": "stripe reports canceled, the database has active",
        "org-7": "stripe does not have subscription sub_7",
    }
    assert world.calls["GET Accounts.json"] == 1
    assert world.calls.total() < 20


async def test_what_was_reported_is_cleared_when_it_agrees_or_has_ended(
    engine: AsyncEngine,
) -> None:
    """What Twilio's comparison reported is left to Twilio's, and the other way round."""
    async with comparing(engine, 300) as world:
        await run(engine, "DELETE FROM alerts")
        for organization_id, detail in (
            ("org-1", "paypal reports active, the database has paused"),  # before it moved
            ("org-2", "stripe reports canceled, the database has active"),
            ("org-3", "the standing is active, the Twilio subaccount suspended"),
        ):
            await run(engine, ALERT, of=organization_id, detail=detail)
        await run(
            engine, "UPDATE subscriptions SET state = 'canceled' WHERE organization_id = 'org-2'"
        )
        world.stripe.state.objects["sub_2"]["status"] = "canceled"

        await world.reconcile(Subject.STRIPE)
        left = [row.organization_id for row in await rows(engine, DIFFERING)]
        await world.reconcile(Subject.TWILIO)

    assert left == ["org-3"]
    assert await rows(engine, DIFFERING) == []
    assert world.calls.total() == 3 + 1 + 1


async def test_a_checkout_is_read_by_itself_and_raises_no_suspicion_of_others(
    engine: AsyncEngine,
) -> None:
    async with comparing(engine, 300) as world:
        for n in (1, 2):
            checkout = world.stripe.state.add(
                "checkout.session", "cs", id=f"cs_{n}", status="open", subscription=None
            )
            checkout["client_reference_id"] = f"org-{n}"
            del world.stripe.state.objects[f"sub_{n}"]
            await run(engine, CHECKOUT, of=f"org-{n}", id=f"cs_{n}")
        world.stripe.state.objects["cs_2"]["status"] = "expired"

        compared = await world.reconcile(Subject.STRIPE)

    assert compared.differing == 1
    assert world.calls.total() == 3 + 1 + 2


async def test_a_later_attempt_continues_behind_what_the_earlier_one_has_compared(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider fails at the third page; as Temporal keeps them, heartbeats are JSON."""
    beats: list[Any] = []
    async with comparing(engine, 450) as world:
        world.stripe.faults.add("503", method="GET", path="/v1/subscriptions", skip=2, times=1)
        first, second = ActivityEnvironment(), ActivityEnvironment()
        first.on_heartbeat = lambda *details: beats.append(to_jsonable_python(details))
        with pytest.raises(ApplicationError):
            await first.run(world.passes.reconcile, Pass(subject=Subject.STRIPE))
        second.info = replace(second.info, heartbeat_details=beats[-1])
        done = await second.run(world.passes.reconcile, Pass(subject=Subject.STRIPE))

    assert (done.compared, done.done) == (450, True)
    assert world.calls["GET subscriptions"] == 6  # five pages, and one of them twice


async def test_a_provider_that_answers_nothing_costs_one_round_of_calls(
    engine: AsyncEngine,
) -> None:
    async with comparing(engine, 300) as world:
        for n in range(1, 101):
            world.stripe.state.objects[f"sub_{n}"]["status"] = "unpaid"
        world.stripe.faults.add("503", method="GET", path="/v1/subscriptions/")
        with pytest.raises(ApplicationError, match="503"):
            await world.reconcile(Subject.STRIPE)

    assert world.calls.total() < 3 + differences.AT_ONCE + 1


async def test_all_workers_share_a_budget(engine: AsyncEngine) -> None:
    """A turn of another worker begins behind ten minutes' worth of calls of the first one."""
    per_second = CALLS_PER_SECOND[Endpoint.PAYPAL]

    await Budgets(engine).take(Endpoint.PAYPAL, 600 * per_second)

    async with engine.begin() as conn:
        assert await pace.take(conn, Endpoint.PAYPAL, 1, per_second=per_second) > 0
        assert await pace.take(conn, Endpoint.STRIPE, 1, per_second=per_second) == 0


def test_no_organization_can_have_the_key_of_a_budget() -> None:
    assert all("/" in endpoint for endpoint in Endpoint)
    assert CALLS_PER_SECOND.keys() == set(Endpoint)
    assert CALLS_PER_SECOND[Endpoint.STRIPE] <= 25
