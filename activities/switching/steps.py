"""The steps that move a customer from one billing provider to another.

The database says which step is due. Each is idempotent: it queries the providers, takes the
organization's lock, checks again, and changes only what is due. No call is made while the lock is
held.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.billing.confirmation import Organization
from activities.switching.switch_providers import Sides, fold, refuse_early_undo, refuse_unknown
from db import alerts
from db.billing import subscriptions
from db.inbox import parking
from db.lifecycle import standings
from db.pipeline import reading
from db.switching import switches
from db.switching.switches import Migration
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, PAID, Provider, Snapshot, State
from domain.lifecycle.standing import Status
from domain.switching import switch as rules
from domain.switching.switch import CHECKOUT_LASTS, Cut, Progress, Ready, Recheck
from providers.billing import BillingProvider, CheckoutLink
from providers.errors import ProviderRefused

log = structlog.get_logger()
NOT_CURRENT = "the old subscription is not the current one any more"
_LAPSED = frozenset({State.CANCELED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The state of a switch. `until`: the renewal, or the end of the checkout, that it waits for."""

    migration_id: str
    target: str
    progress: Progress
    reason: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckAt:
    """A step that a provider refused for good."""

    organization_id: str
    progress: Progress
    reason: str


class Migrating:
    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider]) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._sides = Sides(providers)

    @activity.defn(name="read_migration")
    async def read_migration(self, organization: Organization) -> Where | None:
        """The state of the organization's switch that is due; None if there never was one."""
        async with self._reading.connect() as conn:
            found = await switches.due(conn, organization.organization_id)
        return None if found is None else _where(found)

    @activity.defn(name="check_migration")
    async def check_migration(self, organization: Organization) -> Where:
        """Check before anything changes: refuse the switch, wait for the renewal, or fix the time
        of the first charge.
        """
        migration = await self._read(organization)
        if migration.state not in (Progress.STARTED, Progress.WAITING):
            return _where(migration)
        snapshot = await self._sides.ask(
            migration.source_provider, migration.source_subscription_id
        )
        now = datetime.now(UTC)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            migration = await fold(conn, migration, source=snapshot)
            refused = await self._refusal(conn, migration)
            checked = rules.check(snapshot, now, waited_for=migration.first_charge_at)
            if refused or checked.ready is Ready.REFUSED:
                return await _moved(conn, migration, Progress.REFUSED, refused or checked.reason)
            if checked.ready is Ready.WAIT:
                return await _moved(
                    conn, migration, Progress.WAITING, checked.reason, first_charge_at=checked.until
                )
            return await _moved(
                conn,
                migration,
                Progress.CHECKED,
                first_charge_at=checked.until,
                expires_at=now + CHECKOUT_LASTS,
            )

    @activity.defn(name="offer_checkout")
    async def offer_checkout(self, organization: Organization) -> Where:
        """Create the target's checkout, one per switch; it charges first when the paid period ends."""
        migration = await self._read(organization)
        if migration.state is not Progress.CHECKED:
            return _where(migration)
        made = await self._sides.checkout(migration)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            if isinstance(made, ProviderRefused):
                return await _moved(
                    conn, migration, Progress.UNDONE, f"no checkout could be made: {made}"
                )
            await _note(conn, migration, made)
            return await _moved(
                conn,
                migration,
                Progress.OFFERED,
                target_subscription_id=made.subscription_id,
                checkout_url=made.url,
            )

    @activity.defn(name="look_for_consent")
    async def look_for_consent(self, organization: Organization) -> Where:
        """Check whether the customer completed the checkout, canceled meanwhile, or let it expire;
        each is honored.
        """
        migration = await self._read(organization)
        if migration.state is not Progress.OFFERED:
            return _where(migration)
        source, target = await self._sides.ask_both(migration)
        now = datetime.now(UTC)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            migration = await fold(conn, migration, source=source, target=target)
            if rules.left(source, migration.marker):
                return await _undo(
                    conn, migration, Progress.CANCELED, "the customer canceled the old subscription"
                )
            if target.state in PAID:
                return await _moved(conn, migration, Progress.CONSENTED)
            if (
                target.state in _LAPSED
                or migration.expires_at is None
                or now >= migration.expires_at
            ):
                return await _undo(
                    conn, migration, Progress.ABANDONED, "the checkout was not finished in its time"
                )
            await alerts.clear(conn, organization.organization_id, AlertKind.MIGRATION_STUCK)
        return _where(migration)

    @activity.defn(name="stop_source")
    async def stop_source(self, organization: Organization) -> Where:
        """Check both subscriptions again under the lock, record that the source will be stopped,
        then stop it with our marker.
        """
        migration = await self._read(organization)
        if migration.state not in (Progress.CONSENTED, Progress.STOPPING):
            return _where(migration)
        source, target = await self._sides.ask_both(migration)
        refuse_unknown(source, target)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            decided = await _recheck(conn, migration, source, target)
        if isinstance(decided, Where):
            return decided
        migration, found = decided, await self._read(organization)
        if found != migration:  # another attempt took over after the commit
            return _where(found)
        stopped = await self._sides.stop(migration)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                await fold(conn, migration, source=stopped)  # an undo meanwhile raises an alert
                return _where(found or migration)
            if rules.left(stopped, migration.marker):
                reason = "the customer canceled the old subscription in the same moment"
                return await _undo(conn, migration, Progress.CANCELED, reason)
            return await _moved(conn, migration, Progress.STOPPED)

    @activity.defn(name="cut_over")
    async def cut_over(self, organization: Organization) -> Where:
        """Query both, and make the target current in one transaction: the service stays on
        throughout.
        """
        migration = await self._read(organization)
        if migration.state is not Progress.STOPPED:
            return _where(migration)
        source, target = await self._sides.ask_both(migration)
        refuse_unknown(source, target)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            known = await subscriptions.find(
                conn, migration.target_provider, migration.target_subscription_id or ""
            )
            if known is None or target.state not in BILLING:
                migration = await fold(conn, migration, source=source, target=target)
                reason = f"the new subscription is {target.state.value}"
                await alerts.raise_(
                    conn,
                    organization.organization_id,
                    AlertKind.NOBODY_BILLS,
                    f"migration {migration.id}: {reason}",
                )
                return await _moved(conn, migration, Progress.FAILED, reason)
            if not known.is_current:
                await subscriptions.make_current(conn, known)
            # an ended source takes nothing back from the target
            migration = await fold(conn, migration, source=source)
            migration = await fold(conn, migration, target=target)
            where = await _moved(conn, migration, Progress.COMPLETED)
        log.info(
            "customer_migrated",
            organization_id=organization.organization_id,
            migration_id=where.migration_id,
        )
        return where

    @activity.defn(name="undo_migration")
    async def undo_migration(self, organization: Organization) -> Where:
        """Cancel the target, so that only the source bills, as before. A late consent raises an
        alert.
        """
        migration = await self._read(organization)
        if migration.state is not Progress.UNDOING:
            return _where(migration)
        target = None
        if migration.target_subscription_id is not None:
            target = await self._sides.end_target(migration, migration.target_subscription_id)
        if migration.late and target is not None:
            refuse_unknown(target)
        async with self._locked(organization) as (conn, found):
            if found != migration:
                return _where(found or migration)
            if target is not None:
                await fold(conn, migration, target=target)
            if migration.late:
                detail = f"migration {migration.id}: {migration.reason}"
                await alerts.raise_(
                    conn, organization.organization_id, AlertKind.LATE_CONSENT, detail
                )
            await _moved(conn, migration, migration.outcome or Progress.UNDONE, migration.reason)
            return _where(await switches.due(conn, organization.organization_id) or migration)

    @activity.defn(name="note_stuck_migration")
    async def note_stuck_migration(self, stuck: StuckAt) -> None:
        async with self._engine.begin() as conn:
            detail = f"{stuck.progress.value}: {stuck.reason}"
            await alerts.raise_(conn, stuck.organization_id, AlertKind.MIGRATION_STUCK, detail)
        log.error(
            "migration_stuck",
            organization_id=stuck.organization_id,
            step=stuck.progress,
            reason=stuck.reason,
        )

    async def _refusal(self, conn: AsyncConnection, migration: Migration) -> str:
        if await _another_is_current(conn, migration):
            return NOT_CURRENT
        if not self._sides.have(migration.target_provider):
            return f"{migration.target_provider.value} is not set up here"
        standing = await standings.get(conn, migration.organization_id)
        if standing is None or standing.status is Status.SUSPENDED:
            return "the organization is suspended"
        return ""

    async def _read(self, organization: Organization) -> Migration:
        async with self._reading.connect() as conn:
            migration = await switches.due(conn, organization.organization_id)
        if migration is None:
            raise ApplicationError(
                f"{organization.organization_id} has no migration", non_retryable=True
            )
        return migration

    @asynccontextmanager
    async def _locked(
        self, organization: Organization
    ) -> AsyncIterator[tuple[AsyncConnection, Migration | None]]:
        async with self._engine.begin() as conn:
            await standings.lock(conn, organization.organization_id)
            yield conn, await switches.due(conn, organization.organization_id)


async def _recheck(
    conn: AsyncConnection, migration: Migration, source: Snapshot, target: Snapshot
) -> Where | Migration:
    """The state to move to instead; or the switch, now recorded as stopping the source."""
    migration, now = await fold(conn, migration, source=source, target=target), datetime.now(UTC)
    charge_at = migration.first_charge_at or now
    again = rules.recheck(source, target, first_charge_at=charge_at, mark=migration.marker, now=now)
    if again.cut is Cut.STOP and await _another_is_current(conn, migration):
        again = Recheck(cut=Cut.UNDO, reason=NOT_CURRENT)
    match again.cut:
        case Cut.LEFT:
            return await _undo(conn, migration, Progress.CANCELED, again.reason)
        case Cut.UNDO:
            refuse_early_undo(migration, now)
            return await _undo(conn, migration, Progress.UNDONE, again.reason)
        case Cut.STOPPED:
            return await _moved(conn, migration, Progress.STOPPED)
        case Cut.STOP:
            return await switches.move(conn, migration, Progress.STOPPING)


async def _another_is_current(conn: AsyncConnection, migration: Migration) -> bool:
    """Whether another subscription than the source and the target is current, or none; the host may
    have linked the target itself.
    """
    current = await subscriptions.current(conn, migration.organization_id)
    source = (migration.source_provider, migration.source_subscription_id)
    return current is None or (
        (current.provider, current.id) != source and not migration.leads_to(current)
    )


async def _note(conn: AsyncConnection, migration: Migration, made: CheckoutLink) -> None:
    """From now on every lookup of the organization queries the checkout, too."""
    await subscriptions.add(
        conn,
        migration.organization_id,
        migration.target_provider,
        made.subscription_id,
        checkout_url=made.url,
        checkout_key=migration.marker,
        checkout_plan_id=migration.target_plan_id,
    )
    await parking.adopt_subscription(
        conn, migration.target_provider, made.subscription_id, datetime.now(UTC)
    )


async def _moved(
    conn: AsyncConnection, migration: Migration, to: Progress, reason: str = "", **changed: object
) -> Where:
    await alerts.clear(conn, migration.organization_id, AlertKind.MIGRATION_STUCK)
    return _where(await switches.move(conn, migration, to, reason=reason, **changed))


async def _undo(
    conn: AsyncConnection, migration: Migration, outcome: Progress, reason: str
) -> Where:
    return await _moved(conn, migration, Progress.UNDOING, reason, outcome=outcome)


def _where(migration: Migration) -> Where:
    waits = (
        migration.expires_at if migration.state is Progress.OFFERED else migration.first_charge_at
    )
    return Where(
        migration_id=str(migration.id),
        target=migration.target_provider.value,
        progress=migration.state,
        reason=migration.reason,
        until=waits,
    )
