"""Both sides of a migration: asks the source's provider and the target's, and takes down what they
say.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.failures import STALE, stale, translated
from db.billing import subscriptions
from db.inbox import state_updates
from db.switching import switches
from db.switching.switches import Migration
from domain.billing.subscription import BILLING, Provider, Snapshot, State
from domain.switching.switch import Progress
from providers.billing import BillingProvider, CheckoutLink, Later
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable

STALE_ATTEMPTS = 3
STOP_SENT_WITHIN = timedelta(seconds=20)
"""After that an attempt sends no call to stop the source any more."""
STOP_OVER_AFTER = timedelta(minutes=1)
"""So long after the last attempt began, none is under way."""
UNKNOWN = Snapshot(state=State.UNKNOWN, raw_status="not found")


class Sides:
    """Raises what an activity may raise: a provider's errors as Temporal's."""

    def __init__(self, providers: Mapping[Provider, BillingProvider]) -> None:
        self._providers = providers

    def have(self, provider: Provider) -> bool:
        return provider in self._providers

    async def checkout(self, migration: Migration) -> CheckoutLink | ProviderRefused:
        """One for each migration; it charges first when what is paid at the source ends."""
        assert migration.first_charge_at is not None
        assert migration.expires_at is not None
        with translated():
            try:
                return await self._at(migration.target_provider).create_checkout(
                    organization_id=migration.organization_id,
                    plan_id=migration.target_plan_id,
                    return_url=migration.return_url,
                    cancel_url=migration.cancel_url,
                    idempotency_key=migration.marker,
                    later=Later(
                        first_charge_at=migration.first_charge_at, expires_at=migration.expires_at
                    ),
                )
            except ProviderRefused as refused:
                return refused

    async def ask_both(self, migration: Migration) -> tuple[Snapshot, Snapshot]:
        source = await self.ask(migration.source_provider, migration.source_subscription_id)
        return source, await self.ask(
            migration.target_provider, migration.target_subscription_id or ""
        )

    async def ask(self, provider: Provider, subscription_id: str) -> Snapshot:
        with translated():
            try:
                return await self._at(provider).get_subscription(subscription_id)
            except NotFound:
                return UNKNOWN

    async def stop(self, migration: Migration) -> Snapshot:
        """End the source, with the mark that tells it was us. It may have been ended by somebody
        else before.

        Given up before anybody may undo the migration: what is sent later would stop the one that
        goes on.
        """
        with translated():
            source = self._at(migration.source_provider)
            try:
                async with asyncio.timeout(STOP_SENT_WITHIN.total_seconds()):
                    return await source.ensure_canceled(
                        migration.source_subscription_id, migration.marker
                    )
            except TimeoutError as late:
                raise ProviderUnavailable(
                    "the source was not stopped in time", code="NO_ANSWER"
                ) from late

    async def end_target(self, migration: Migration, subscription_id: str) -> Snapshot:
        """Cancel it; what was not consented to bills nobody, even where the provider will not have
        it canceled.
        """
        with translated():
            target = self._at(migration.target_provider)
            try:
                return await target.ensure_canceled(subscription_id, migration.marker)
            except ProviderRefused:
                snapshot = await self.ask(migration.target_provider, subscription_id)
                if snapshot.state in BILLING:
                    raise
                return snapshot

    def _at(self, provider: Provider) -> BillingProvider:
        if provider not in self._providers:
            raise ProviderRefused(f"{provider.value} is not set up here")
        return self._providers[provider]


async def fold(
    conn: AsyncConnection,
    migration: Migration,
    *,
    source: Snapshot | None = None,
    target: Snapshot | None = None,
) -> Migration:
    """Take down what was told; the target's first, which may become the current one. Returns the
    migration anew.
    """
    snapshots = (
        (migration.target_provider, migration.target_subscription_id, target),
        (migration.source_provider, migration.source_subscription_id, source),
    )
    for provider, subscription_id, snapshot in snapshots:
        known = await subscriptions.find(conn, provider, subscription_id or "")
        if snapshot is None or known is None:
            continue
        cause = f"migration {migration.id}"
        folded = await state_updates.confirm(
            conn, known, snapshot, now=datetime.now(UTC), cause=cause, may_open=True
        )
        if folded is not None and folded.ask_again:
            await (
                conn.commit()
            )  # since when it is doubted is kept: the next attempts are compared with that
            raise stale(f"{provider} {subscription_id}: the answer may be older than what is known")
        await switches.note_late_stop(conn, known, snapshot)
    return await switches.newest(conn, migration.organization_id) or migration


def refuse_early_undo(migration: Migration, now: datetime) -> None:
    """An attempt that was taken for dead may be stopping the source still: what it stops cannot be
    brought back.
    """
    left = migration.changed_at + STOP_OVER_AFTER - now
    if migration.state is Progress.STOPPING and left > timedelta(0):
        detail, again = "the source may be being stopped still", min(left, timedelta(seconds=10))
        raise ApplicationError(
            detail, type=STALE, category=ApplicationErrorCategory.BENIGN, next_retry_delay=again
        )


def refuse_unknown(*snapshots: Snapshot) -> None:
    """Absence of data ends nothing: ask again; and when it stays so, a person has to look."""
    unknown = [snapshot.raw_status for snapshot in snapshots if snapshot.state is State.UNKNOWN]
    if unknown:
        stays = activity.info().attempt > STALE_ATTEMPTS
        detail = f"a provider says {unknown[0]!r} of a subscription"
        raise ApplicationError(detail, type=STALE, non_retryable=stays)
