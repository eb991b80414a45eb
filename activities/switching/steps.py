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
from activities.switching.moves import (
    NOT_CURRENT,
    SwitchState,
    another_is_current,
    moved,
    note,
    recheck,
    state_of,
    undo,
)
from activities.switching.switch_providers import SwitchProviders, fold, refuse_unknown
from db import alerts
from db.billing import subscriptions
from db.lifecycle import standings
from db.pipeline import reading
from db.switching import switches
from db.switching.switches import Switch
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, PAID, Provider, State
from domain.lifecycle.standing import Status
from domain.switching import switch as rules
from domain.switching.switch import CHECKOUT_LASTS, Ready, SwitchStatus
from providers.billing import BillingProvider
from providers.errors import ProviderRefused

log = structlog.get_logger()
_LAPSED = frozenset({State.CANCELED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckSwitch:
    """A step that a provider refused permanently."""

    organization_id: str
    progress: SwitchStatus
    reason: str


class Switching:
    def __init__(self, engine: AsyncEngine, providers: Mapping[Provider, BillingProvider]) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._providers = SwitchProviders(providers)

    @activity.defn(name="read_migration")
    async def read_switch(self, organization: Organization) -> SwitchState | None:
        """The state of the organization's switch that is due; None if there never was one."""
        async with self._reading.connect() as conn:
            found = await switches.due(conn, organization.organization_id)
        return None if found is None else state_of(found)

    @activity.defn(name="check_migration")
    async def check_switch(self, organization: Organization) -> SwitchState:
        """Check before anything changes: refuse the switch, wait for the renewal, or fix the time
        of the first charge.
        """
        switch = await self._read(organization)
        if switch.state not in (SwitchStatus.STARTED, SwitchStatus.WAITING):
            return state_of(switch)
        snapshot = await self._providers.ask(switch.source_provider, switch.source_subscription_id)
        now = datetime.now(UTC)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            switch = await fold(conn, switch, source=snapshot)
            refused = await self._refusal(conn, switch)
            checked = rules.check(snapshot, now, waited_for=switch.first_charge_at)
            if refused or checked.ready is Ready.REFUSED:
                return await moved(conn, switch, SwitchStatus.REFUSED, refused or checked.reason)
            if checked.ready is Ready.WAIT:
                return await moved(
                    conn,
                    switch,
                    SwitchStatus.WAITING,
                    checked.reason,
                    first_charge_at=checked.until,
                )
            return await moved(
                conn,
                switch,
                SwitchStatus.CHECKED,
                first_charge_at=checked.until,
                expires_at=now + CHECKOUT_LASTS,
            )

    @activity.defn(name="offer_checkout")
    async def offer_checkout(self, organization: Organization) -> SwitchState:
        """Create the target's checkout, one per switch; it charges first when the paid period ends."""
        switch = await self._read(organization)
        if switch.state is not SwitchStatus.CHECKED:
            return state_of(switch)
        checkout = await self._providers.checkout(switch)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            if isinstance(checkout, ProviderRefused):
                return await moved(
                    conn,
                    switch,
                    SwitchStatus.UNDONE,
                    f"the checkout could not be created: {checkout}",
                )
            await note(conn, switch, checkout)
            return await moved(
                conn,
                switch,
                SwitchStatus.OFFERED,
                target_subscription_id=checkout.subscription_id,
                checkout_url=checkout.url,
            )

    @activity.defn(name="look_for_consent")
    async def look_for_consent(self, organization: Organization) -> SwitchState:
        """Check whether the customer completed the checkout, canceled meanwhile, or let it expire;
        each is honored.
        """
        switch = await self._read(organization)
        if switch.state is not SwitchStatus.OFFERED:
            return state_of(switch)
        source, target = await self._providers.ask_both(switch)
        now = datetime.now(UTC)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            switch = await fold(conn, switch, source=source, target=target)
            if rules.left(source, switch.marker):
                return await undo(
                    conn,
                    switch,
                    SwitchStatus.CANCELED,
                    "the customer canceled the old subscription",
                )
            if target.state in PAID:
                return await moved(conn, switch, SwitchStatus.CONSENTED)
            if target.state in _LAPSED or switch.expires_at is None or now >= switch.expires_at:
                return await undo(
                    conn,
                    switch,
                    SwitchStatus.ABANDONED,
                    "the customer did not complete the checkout in time",
                )
            await alerts.clear(conn, organization.organization_id, AlertKind.SWITCH_STUCK)
        return state_of(switch)

    @activity.defn(name="stop_source")
    async def stop_source(self, organization: Organization) -> SwitchState:
        """Check both subscriptions again under the lock, record that the source will be stopped,
        then stop it with our marker.
        """
        switch = await self._read(organization)
        if switch.state not in (SwitchStatus.CONSENTED, SwitchStatus.STOPPING):
            return state_of(switch)
        source, target = await self._providers.ask_both(switch)
        refuse_unknown(source, target)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            decided = await recheck(conn, switch, source, target)
        if isinstance(decided, SwitchState):
            return decided
        switch, found = decided, await self._read(organization)
        if found != switch:  # another attempt took over after the commit
            return state_of(found)
        stopped = await self._providers.stop(switch)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                await fold(conn, switch, source=stopped)  # an undo meanwhile raises an alert
                return state_of(found or switch)
            if rules.left(stopped, switch.marker):
                reason = "the customer canceled the old subscription at the same moment"
                return await undo(conn, switch, SwitchStatus.CANCELED, reason)
            return await moved(conn, switch, SwitchStatus.STOPPED)

    @activity.defn(name="cut_over")
    async def cut_over(self, organization: Organization) -> SwitchState:
        """Query both, and make the target current in one transaction: the service stays on
        throughout.
        """
        switch = await self._read(organization)
        if switch.state is not SwitchStatus.STOPPED:
            return state_of(switch)
        source, target = await self._providers.ask_both(switch)
        refuse_unknown(source, target)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            target_subscription = await subscriptions.find(
                conn, switch.target_provider, switch.target_subscription_id or ""
            )
            if target_subscription is None or target.state not in BILLING:
                switch = await fold(conn, switch, source=source, target=target)
                reason = f"the new subscription is {target.state.value}"
                await alerts.raise_(
                    conn,
                    organization.organization_id,
                    AlertKind.NOBODY_BILLS,
                    f"switch {switch.id}: {reason}",
                )
                return await moved(conn, switch, SwitchStatus.FAILED, reason)
            if not target_subscription.is_current:
                await subscriptions.make_current(conn, target_subscription)
            # an ended source takes nothing back from the target
            switch = await fold(conn, switch, source=source)
            switch = await fold(conn, switch, target=target)
            state = await moved(conn, switch, SwitchStatus.COMPLETED)
        log.info(
            "customer_switched",
            organization_id=organization.organization_id,
            switch_id=state.migration_id,
        )
        return state

    @activity.defn(name="undo_migration")
    async def undo_switch(self, organization: Organization) -> SwitchState:
        """Cancel the target, so that only the source bills, as before. A late consent raises an
        alert.
        """
        switch = await self._read(organization)
        if switch.state is not SwitchStatus.UNDOING:
            return state_of(switch)
        target = None
        if switch.target_subscription_id is not None:
            target = await self._providers.end_target(switch, switch.target_subscription_id)
        if switch.late and target is not None:
            refuse_unknown(target)
        async with self._locked(organization) as (conn, found):
            if found != switch:
                return state_of(found or switch)
            if target is not None:
                await fold(conn, switch, target=target)
            if switch.late:
                detail = f"switch {switch.id}: {switch.reason}"
                await alerts.raise_(
                    conn, organization.organization_id, AlertKind.LATE_CONSENT, detail
                )
            await moved(conn, switch, switch.outcome or SwitchStatus.UNDONE, switch.reason)
            return state_of(await switches.due(conn, organization.organization_id) or switch)

    @activity.defn(name="note_stuck_migration")
    async def note_stuck_switch(self, stuck: StuckSwitch) -> None:
        async with self._engine.begin() as conn:
            detail = f"{stuck.progress.value}: {stuck.reason}"
            await alerts.raise_(conn, stuck.organization_id, AlertKind.SWITCH_STUCK, detail)
        log.error(
            "switch_stuck",
            organization_id=stuck.organization_id,
            step=stuck.progress,
            reason=stuck.reason,
        )

    async def _refusal(self, conn: AsyncConnection, switch: Switch) -> str:
        if await another_is_current(conn, switch):
            return NOT_CURRENT
        if not self._providers.have(switch.target_provider):
            return f"{switch.target_provider.value} is not set up here"
        standing = await standings.get(conn, switch.organization_id)
        if standing is None or standing.status is Status.SUSPENDED:
            return "the organization is suspended"
        return ""

    async def _read(self, organization: Organization) -> Switch:
        async with self._reading.connect() as conn:
            switch = await switches.due(conn, organization.organization_id)
        if switch is None:
            raise ApplicationError(
                f"{organization.organization_id} has no switch", non_retryable=True
            )
        return switch

    @asynccontextmanager
    async def _locked(
        self, organization: Organization
    ) -> AsyncIterator[tuple[AsyncConnection, Switch | None]]:
        async with self._engine.begin() as conn:
            await standings.lock(conn, organization.organization_id)
            yield conn, await switches.due(conn, organization.organization_id)
