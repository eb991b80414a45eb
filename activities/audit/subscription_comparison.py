"""Compares the recorded subscriptions with one billing provider.

Where the provider lists its account's subscriptions, the list raises suspicion and a GET decides;
otherwise each subscription is read by itself, as fast as the budget allows.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.differences import Compared, Differences
from activities.audit.passes import Pass
from activities.failures import translated_forever
from db.audit import comparisons
from domain.audit.reconciliation import Census
from domain.billing.comparison import Difference, difference
from domain.billing.subscription import Provider, State, Subscription
from providers.billing import BillingProvider, ListsSubscriptions, SubscriptionPage
from providers.errors import NotFound

log = structlog.get_logger()
_LIST, _MISSING, _EACH, _CHECKOUTS = "list", "missing", "each", "checkouts"
_PAGE = 20
OPEN_FOR = timedelta(days=30)
"""An older checkout is not read any more; the event of its completion is still handled."""
ENDPOINTS = {Provider.PAYPAL: Endpoint.PAYPAL, Provider.STRIPE: Endpoint.STRIPE}


class SubscriptionComparison:
    """`provider` is None if it is not set up here: there is nothing to compare then."""

    def __init__(
        self,
        engine: AsyncEngine,
        name: Provider,
        provider: BillingProvider | None,
        differences: Differences,
        budgets: Budgets,
    ) -> None:
        self._engine = engine
        self._name = name
        self._provider = provider
        self._differences = differences
        self._budgets = budgets

    async def step(self, at: Pass) -> Pass:
        """Compare a page. First the current subscriptions, then open checkouts."""
        if self._provider is None:
            log.info("provider_not_set_up", provider=self._name.value)
            return at.end()
        if not at.phase:
            return at.enter(_LIST if isinstance(self._provider, ListsSubscriptions) else _EACH)
        steps = {
            _LIST: self._compare_list,
            _MISSING: self._look_for_missing,
            _EACH: self._compare_each,
            _CHECKOUTS: self._compare_checkouts,
        }
        return await steps[at.phase](self._provider, at)

    async def _compare_list(self, provider: BillingProvider, at: Pass) -> Pass:
        assert isinstance(provider, ListsSubscriptions)
        await self._budgets.take(ENDPOINTS[self._name])
        with translated_forever():
            page = await provider.list_subscriptions(at.at)
        async with self._engine.connect() as conn:
            found = await comparisons.of_ids(conn, self._name, {*page.snapshots, *page.unpaid})
        suspects = [recorded for recorded in found if _looks_different(recorded, page)]
        compared = await self._look(provider, suspects)
        suspected = {recorded.id for recorded in suspects}
        alike = [each.organization_id for each in found if each.id not in suspected]
        listed = [recorded for recorded in found if recorded.id in page.snapshots]
        if page.snapshots:
            await self._differences.agree([*alike, *compared.agreeing], with_twilio=False)
        census = Census(at.listed)
        census.add(
            recorded.id
            for recorded in listed
            if recorded.linked_at is not None
            and recorded.linked_at < at.since
            and recorded.snapshot.state in comparisons.LISTED
        )
        at = replace(
            at.beyond(page.next, compared=len(listed), differing=compared.differing),
            listed=census.counts,
        )
        return at if page.next is not None else at.enter(_MISSING)

    async def _look_for_missing(self, provider: BillingProvider, at: Pass) -> Pass:
        """A checkout that is a current subscription is in no list, either."""
        async with self._engine.connect() as conn:
            expected = await comparisons.by_bucket(conn, self._name, before=at.since)
            unlisted = await comparisons.current_in(
                conn,
                self._name,
                Census(at.listed).differing(expected),
                before=at.since,
                after=at.at or "",
                limit=_PAGE,
            )
        return await self._compare_page(provider, at, unlisted)

    async def _compare_each(self, provider: BillingProvider, at: Pass) -> Pass:
        async with self._engine.connect() as conn:
            found = await comparisons.current(conn, self._name, after=at.at or "", limit=_PAGE)
        return await self._compare_page(provider, at, found)

    async def _compare_page(
        self, provider: BillingProvider, at: Pass, found: Sequence[Subscription]
    ) -> Pass:
        compared = await self._look(provider, found)
        await self._differences.agree(compared.agreeing, with_twilio=False)
        number = len(compared.agreeing) + compared.differing
        if len(found) < _PAGE:
            at = at.beyond(None, compared=number, differing=compared.differing)
            return replace(at.enter(_CHECKOUTS), listed=())
        return at.beyond(found[-1].organization_id, compared=number, differing=compared.differing)

    async def _compare_checkouts(self, provider: BillingProvider, at: Pass) -> Pass:
        """The webhook of a completed checkout may be lost, and nothing else reports it."""
        organization_id, _, checkout_id = (at.at or "").partition("/")
        async with self._engine.connect() as conn:
            found = await comparisons.open_checkouts(
                conn,
                self._name,
                since=at.since - OPEN_FOR,
                after=(organization_id, checkout_id),
                limit=_PAGE,
            )
        compared = await self._look(provider, found)
        if len(found) < _PAGE:
            async with self._engine.begin() as conn:
                await comparisons.clear_ended(conn)
            return at.beyond(None, differing=compared.differing).end()
        last = found[-1]
        return at.beyond(f"{last.organization_id}/{last.id}", differing=compared.differing)

    async def _look(self, provider: BillingProvider, suspects: Sequence[Subscription]) -> Compared:
        async def look(recorded: Subscription) -> Difference | None:
            try:
                answer = await provider.get_subscription(recorded.id)
            except NotFound:
                text = f"{self._name.value} does not have subscription {recorded.id}"
                return Difference(text=text) if recorded.is_current else None
            found = difference(recorded, answer, now=datetime.now(UTC))
            if found is None or recorded.is_current:
                return found
            return replace(found, alerts=False)

        return await self._differences.find(
            ENDPOINTS[self._name], suspects, look, lambda recorded: recorded.organization_id
        )


def _looks_different(recorded: Subscription, page: SubscriptionPage) -> bool:
    """A list does not show what is unpaid, so that one which owes is always read."""
    listed = page.snapshots.get(recorded.id)
    if listed is None:
        return recorded.debt is None
    return (
        recorded.debt is not None
        or recorded.snapshot.state is State.PAST_DUE
        or difference(recorded, listed, now=datetime.now(UTC)) is not None
    )
