"""Billing activities: query the provider, apply its answer, and book the money that it confirms."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.billing.bookings import Booking
from activities.billing.pending_deliveries import Answers, Pending
from activities.billing.snapshots import query
from activities.billing.unlinked_subscriptions import Unlinked
from activities.failures import elsewhere
from activities.notifier import Notifier
from db import alerts
from db.billing import decisions, subscriptions, topups
from db.campaigns import parked_campaigns
from db.inbox import deliveries, parking, pending_deliveries, snapshots
from db.inbox.deliveries import Delivery
from db.lifecycle import standings
from db.pipeline import reading, together
from db.switching import switches
from domain.alerts import AlertKind
from domain.billing.subscription import Provider, Snapshot, Subscription
from domain.lifecycle.standing import Standing, Status
from domain.switching.switch import OVER
from providers.billing import BillingProvider

BOOK_UNTIL = 15.0
"""Seconds into an attempt after which it begins no further delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """`problem` is why the provider's answer could not be applied, if that was tried before.
    `redirect`: on a queue that queries no provider.
    """

    organization_id: str
    problem: str = ""
    redirect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """`doubted` are the subscriptions whose answer is not accepted yet, `resumed` the campaigns
    that continue.
    """

    standing: Standing | None
    doubted: Collection[tuple[Provider, str]]
    resumed: Sequence[UUID]


class Billing:
    """Each activity may be repeated any number of times: money is booked once by its own id, a GET
    changes nothing.
    """

    def __init__(
        self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider], notifier: Notifier
    ) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._providers = providers
        self._notifier = notifier
        self._booking = Booking(engine, providers)
        self._unlinked = Unlinked(engine, providers)

    @activity.defn(name="confirm_subscription")
    async def confirm_subscription(self, request: Organization) -> Standing | None:
        """Query the providers, apply their answers, book the money, resume what waited for it.
        Returns the standing; None: no such organization.

        Fails retryably as `ProviderUnavailable` when a provider does not answer, after finishing
        everything about the other one. `ask_again` of the standing: an answer contradicts what shut
        the gate; the deliveries that wait for it stay unhandled. Fails as `Elsewhere`, with the
        provider's name, if the request says so and there is a provider to query.
        """
        until = asyncio.get_running_loop().time() + BOOK_UNTIL
        pending = await self._read(request.organization_id)
        if request.redirect and pending.provider is not None:
            raise elsewhere(pending.provider)
        answers = await self._ask(pending)
        folded = await self._fold(pending, answers)
        unbooked: Sequence[Delivery] = ()
        if pending.has_money:
            unbooked = await self._book(pending, answers, until)
            folded = await self._fold_booked(pending, answers, folded.doubted, unbooked)
        await self._notify_campaigns(pending.organization_id, folded.resumed)
        answers.raise_for_silent()
        if unbooked:
            await self._notifier.notify_organization(pending.organization_id)
        if len(pending.subscriptions) > 1:
            await self._notify_switch(pending.organization_id)
        standing = folded.standing
        return (
            None
            if standing is None
            else replace(standing, ask_again=bool(folded.doubted), provider=pending.provider)
        )

    @activity.defn(name="settle_standing")
    async def settle_standing(self, request: Organization) -> Standing | None:
        """Decide again from the recorded facts, without a request to a provider: blocks, deadlines,
        the newest verified event.

        An alert stands until the provider confirms it.
        """
        async with self._engine.begin() as conn:
            await standings.lock(conn, request.organization_id)
            if request.problem:
                await alerts.raise_(
                    conn, request.organization_id, AlertKind.NOT_CONFIRMED, request.problem
                )
            current = await subscriptions.current(conn, request.organization_id)
            standing = await decisions.settle(
                conn,
                request.organization_id,
                now=datetime.now(UTC),
                cause="deadline or block",
                may_open=False,
            )
        if standing is None or current is None:
            return standing
        return replace(standing, provider=current.provider)

    async def _read(self, organization_id: str) -> Pending:
        async with self._reading.connect() as conn:
            return Pending(
                organization_id=organization_id,
                deliveries=await pending_deliveries.unhandled(conn, organization_id),
                subscriptions=await subscriptions.of_organization(conn, organization_id),
                topups=await topups.waiting(conn, organization_id),
            )

    async def _ask(self, pending: Pending) -> Answers:
        """GET each subscription in question, and query those that deliveries name but that are not
        linked. After its first failure a provider gets no further request.
        """
        snapshots: list[tuple[Subscription, Snapshot]] = []
        silent: dict[Provider, ApplicationError] = {}
        for subscription in pending.in_question:
            provider = subscription.provider
            if provider in silent or (
                provider not in self._providers and not subscription.is_current
            ):
                continue
            try:
                found = await query(self._providers[provider], subscription.id)
                snapshots.append((subscription, found))
            except ApplicationError as problem:
                silent[provider] = problem
        answers = Answers(snapshots=snapshots, silent=silent)
        await self._look_for_unlinked(pending, answers)
        return answers

    async def _look_for_unlinked(self, pending: Pending, answers: Answers) -> None:
        stored_ids = {
            (subscription.provider, subscription.id) for subscription in pending.subscriptions
        }
        stored_ids |= {
            (checkout.provider, snapshot.subscription_id)
            for checkout, snapshot in answers.snapshots
            if snapshot.subscription_id
        }
        answered = [
            delivery for delivery in pending.deliveries if delivery.provider not in answers.silent
        ]
        await self._unlinked.look(pending.organization_id, answered, stored_ids)

    async def _fold(self, pending: Pending, answers: Answers) -> Folded:
        """Apply the answers before money is booked: a gate that has to shut must not wait.

        Without money nothing else is left, and the deliveries are handled in the same transaction.
        """
        async with self._engine.begin() as conn:
            standing, doubted = await _fold_answers(conn, pending, answers)
            if not answers.silent and not doubted:
                await alerts.clear(conn, pending.organization_id, AlertKind.NOT_CONFIRMED)
            resumed: Sequence[UUID] = ()
            if not pending.has_money:
                resumed = await _finish(conn, standing, pending.done(answers, doubted))
        return Folded(standing=standing, doubted=doubted, resumed=resumed)

    async def _book(self, pending: Pending, answers: Answers, until: float) -> Sequence[Delivery]:
        """Book the money of deliveries and open top-ups. Returns the deliveries for which there was
        no time.
        """
        organization_id, silent = pending.organization_id, answers.silent
        first, later = pending.portions
        left = await self._booking.book(organization_id, first, silent=silent, until=until)
        await self._booking.topping_up.settle(
            organization_id, pending.topups, silent=silent, until=until
        )
        return [*later, *left]

    async def _fold_booked(
        self,
        pending: Pending,
        answers: Answers,
        doubted: Collection[tuple[Provider, str]],
        unbooked: Sequence[Delivery],
    ) -> Folded:
        """Decide again after money was booked, and handle the deliveries that are done."""
        async with self._engine.begin() as conn:
            standing = await decisions.settle(
                conn,
                pending.organization_id,
                now=datetime.now(UTC),
                cause=pending.cause,
                may_open=not answers.silent,
            )
            done = pending.done(answers, doubted, unbooked)
            resumed = await _finish(conn, standing, done)
        return Folded(standing=standing, doubted=doubted, resumed=resumed)

    async def _notify_campaigns(self, organization_id: str, campaign_ids: Sequence[UUID]) -> None:
        for campaign_id in campaign_ids:
            await self._notifier.notify_campaign(organization_id, campaign_id)

    async def _notify_switch(self, organization_id: str) -> None:
        async with self._reading.connect() as conn:
            switch = await switches.due(conn, organization_id)
        if switch is not None and switch.state not in OVER:
            await self._notifier.notify_switch(organization_id)


async def _fold_answers(
    conn: AsyncConnection, pending: Pending, answers: Answers
) -> tuple[Standing | None, Collection[tuple[Provider, str]]]:
    """Apply each snapshot; without any, decide again from the recorded facts.

    Also returns the subscriptions whose answer is not accepted yet.
    """
    now, may_open = datetime.now(UTC), not answers.silent
    standing, doubted = None, set()
    for subscription, snapshot in answers.snapshots:
        standing = await snapshots.confirm(
            conn, subscription, snapshot, now=now, cause=pending.cause, may_open=may_open
        )
        if standing is not None and standing.ask_again:
            doubted.add((subscription.provider, subscription.id))
    standing = standing or await decisions.settle(
        conn, pending.organization_id, now=now, cause=pending.cause, may_open=may_open
    )
    return standing, doubted


async def _finish(
    conn: AsyncConnection, standing: Standing | None, done: Sequence[Delivery]
) -> list[UUID]:
    """Mark the deliveries as handled, and resume the campaigns that waited for their money. Returns
    those campaigns; the caller notifies their workflows.
    """
    if done:
        ids, owner = [delivery.id for delivery in done], done[0].organization_id
        async with together(conn):
            await deliveries.mark_handled(conn, ids, organization_id=owner)
            if owner is not None:
                await parking.note_settled(conn, owner)
    if standing is None or standing.status is Status.SUSPENDED or standing.behind:
        return []  # a reactivation ends with this step
    return await parked_campaigns.resume_eligible(
        conn, standing.organization_id, now=datetime.now(UTC)
    )
