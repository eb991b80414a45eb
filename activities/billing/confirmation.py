"""Billing activities: ask the provider afresh, have the money it confirms booked, and fold its
answer.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.billing.bookings import Booking
from activities.billing.unlinked_subscriptions import Unlinked
from activities.failures import translated
from activities.notifier import Doorbell
from db import alerts
from db.billing import decisions, subscriptions, topups
from db.campaigns import parked_campaigns
from db.inbox import deliveries, parking, state_updates
from db.inbox.deliveries import Delivery
from db.lifecycle import standings
from db.pipeline import reading
from db.switching import switches
from domain.alerts import AlertKind
from domain.billing.subscription import Provider, Snapshot, State, Subscription
from domain.lifecycle.standing import Standing, Status
from domain.switching.switch import OVER
from providers.billing import BillingProvider
from providers.errors import NotFound

NOT_CONFIRMED = AlertKind.NOT_CONFIRMED
BOOKED_AT_ONCE = 15
"""Of each provider: each takes some calls, and one attempt has 30 s. The next look follows at
once.
"""
BOOK_UNTIL = 15.0
"""Seconds into an attempt no further delivery is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """`problem` is why the provider's answer could not be folded, where that is what was tried
    before.
    """

    organization_id: str
    problem: str = ""


class Billing:
    """Each activity may be repeated any number of times: money is booked once by its own id, a GET
    changes nothing.
    """

    def __init__(
        self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], doorbell: Doorbell
    ) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._providers = providers
        self._doorbell = doorbell
        self._booking = Booking(engine, providers)
        self._unlinked = Unlinked(engine, providers)

    @activity.defn(name="confirm_subscription")
    async def confirm_subscription(self, asked: Organization) -> Standing | None:
        """GET what the waiting deliveries are about, fold it, return the standing; None: no such
        organization.

        Fails retryably as `ProviderUnavailable`, when all that the other provider tells is done.
        `ask_again` of the standing: an answer contradicts what has shut the gate; what waits for it
        stays unhandled.
        """
        organization_id, began = asked.organization_id, asyncio.get_running_loop().time()
        async with self._reading.connect() as conn:
            unhandled = await deliveries.unhandled(conn, organization_id)
            known = await subscriptions.of_organization(conn, organization_id)
            paying = await topups.waiting(conn, organization_id)
        named = {(delivery.provider, delivery.subscription_id) for delivery in unhandled}
        money, later = _at_once(unhandled)
        cause = (
            f"{unhandled[-1].event_type} {unhandled[-1].event_id}" if unhandled else "self-check"
        )
        concerned = [
            one
            for one in known
            if one.is_current or (one.provider, one.id) in named or _awaited(one)
        ]
        told, silent = await self._ask_each(
            [one for one in concerned if one.is_current or one.provider in self._providers]
        )
        rows = {(one.provider, one.id) for one in known}
        rows |= {
            (one.provider, snapshot.subscription_id)
            for one, snapshot in told
            if snapshot.subscription_id
        }
        await self._unlinked.look(organization_id, _of_others(unhandled, silent), rows)
        async with self._engine.begin() as conn:
            standing, doubted = await _fold(conn, organization_id, told, cause, may_open=not silent)
            unhandled = [
                one
                for one in unhandled
                if one.money or (one.provider, one.subscription_id) not in doubted
            ]
            if not silent and not doubted:
                await alerts.clear(conn, organization_id, NOT_CONFIRMED)
            resumed = (
                []
                if money or paying
                else await _finish(conn, standing, _of_others(unhandled, silent))
            )
        until = began + BOOK_UNTIL
        left = await self._booking.book(organization_id, money, silent=silent, until=until)
        await self._booking.topping_up.settle(organization_id, paying, silent=silent, until=until)
        if money or paying:
            later += left
            done = [
                one
                for one in unhandled
                if one not in later and (one in money or one.provider not in silent)
            ]
            async with self._engine.begin() as conn:
                standing, _ = await _fold(conn, organization_id, (), cause, may_open=not silent)
                resumed = await _finish(conn, standing, done)
        for campaign_id in resumed:
            await self._doorbell.ring_campaign(organization_id, campaign_id)
        for problem in silent.values():
            raise problem
        if later:
            await self._doorbell.ring_organization(organization_id)
        if len(known) > 1:
            await self._ring_migration(organization_id)
        return None if standing is None else replace(standing, ask_again=bool(doubted))

    @activity.defn(name="settle_standing")
    async def settle_standing(self, asked: Organization) -> Standing | None:
        """Decide anew from what is recorded, without asking anybody: blocks, deadlines, the newest
        verified event.

        That it could not be confirmed is an alert until it is.
        """
        async with self._engine.begin() as conn:
            await standings.lock(conn, asked.organization_id)
            if asked.problem:
                await alerts.raise_(conn, asked.organization_id, NOT_CONFIRMED, asked.problem)
            return await decisions.settle(
                conn,
                asked.organization_id,
                now=datetime.now(UTC),
                cause="deadline or block",
                may_open=False,
            )

    async def _ring_migration(self, organization_id: str) -> None:
        async with self._reading.connect() as conn:
            migration = await switches.due(conn, organization_id)
        if migration is not None and migration.state not in OVER:
            await self._doorbell.ring_migration(organization_id)

    async def _ask_each(
        self, subscriptions_: Sequence[Subscription]
    ) -> tuple[list[tuple[Subscription, Snapshot]], dict[Provider, ApplicationError]]:
        """What was told, and the providers that did not answer."""
        told: list[tuple[Subscription, Snapshot]] = []
        silent: dict[Provider, ApplicationError] = {}
        for subscription in subscriptions_:
            try:
                if subscription.provider not in silent:
                    told.append((subscription, await self._ask(subscription)))
            except ApplicationError as problem:
                silent[subscription.provider] = problem
        return told, silent

    async def _ask(self, subscription: Subscription) -> Snapshot:
        with translated():
            try:
                return await self._providers[subscription.provider].get_subscription(
                    subscription.id
                )
            except NotFound:
                return Snapshot(state=State.UNKNOWN, raw_status="not found")


def _at_once(unhandled: Sequence[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
    """Those about money: as many of each provider as one look books, and the others."""
    now: list[Delivery] = []
    later: list[Delivery] = []
    number = Counter[Provider]()
    for delivery in unhandled:
        if delivery.money is not None:
            number[delivery.provider] += 1
            (now if number[delivery.provider] <= BOOKED_AT_ONCE else later).append(delivery)
    return now, later


def _awaited(subscription: Subscription) -> bool:
    """A checkout that we handed out: its completion may have been lost, and nothing else would tell
    of it.
    """
    return subscription.checkout_url is not None and subscription.snapshot.state in (
        State.NONE,
        State.PENDING,
    )


def _of_others(
    unhandled: Sequence[Delivery], silent: Mapping[Provider, ApplicationError]
) -> list[Delivery]:
    return [one for one in unhandled if one.provider not in silent]


async def _fold(
    conn: AsyncConnection,
    organization_id: str,
    told: Sequence[tuple[Subscription, Snapshot]],
    cause: str,
    *,
    may_open: bool,
) -> tuple[Standing | None, Collection[tuple[Provider, str]]]:
    """Fold what the provider said of each subscription; of none, decide anew from what is recorded.

    And the subscriptions of which the answer is not believed yet.
    """
    now = datetime.now(UTC)
    standing, doubted = None, set()
    for subscription, snapshot in told:
        standing = await state_updates.confirm(
            conn, subscription, snapshot, now=now, cause=cause, may_open=may_open
        )
        if standing is not None and standing.ask_again:
            doubted.add((subscription.provider, subscription.id))
        await switches.note_late_stop(conn, subscription, snapshot)
    standing = standing or await decisions.settle(
        conn, organization_id, now=now, cause=cause, may_open=may_open
    )
    return standing, doubted


async def _finish(
    conn: AsyncConnection, standing: Standing | None, unhandled: Sequence[Delivery]
) -> list[UUID]:
    """The deliveries are acted on; campaigns that waited for what they brought go on, and are to be
    rung.
    """
    if unhandled:
        ids, whose = [delivery.id for delivery in unhandled], unhandled[0].organization_id
        await deliveries.mark_handled(conn, ids, organization_id=whose)
        if whose is not None:
            await parking.note_settled(conn, whose)
    if standing is None or standing.status is Status.SUSPENDED or standing.behind:
        return []  # the steps of a reactivation end with it
    return await parked_campaigns.resume_eligible(
        conn, standing.organization_id, now=datetime.now(UTC)
    )
