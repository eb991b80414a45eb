"""Moves a switch to its next state, under the organization's lock."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.switching.switch_providers import fold, refuse_early_undo
from db import alerts
from db.billing import subscriptions
from db.inbox import parking
from db.switching import switches
from db.switching.switches import Switch
from domain.alerts import AlertKind
from domain.billing.subscription import Snapshot
from domain.switching import switch as rules
from domain.switching.switch import Cut, Recheck, SwitchStatus
from providers.billing import CheckoutLink

NOT_CURRENT = "the old subscription is no longer the current one"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchState:
    """The state of a switch. `until`: the renewal, or the end of the checkout, that it waits for.

    Recorded histories hold the fields' names: `migration_id` is the switch's id.
    """

    migration_id: str
    target: str
    progress: SwitchStatus
    reason: str = ""
    until: datetime | None = None


async def recheck(
    conn: AsyncConnection, switch: Switch, source: Snapshot, target: Snapshot
) -> SwitchState | Switch:
    """The state to move to instead; or the switch, now recorded as stopping the source."""
    switch, now = await fold(conn, switch, source=source, target=target), datetime.now(UTC)
    charge_at = switch.first_charge_at or now
    again = rules.recheck(source, target, first_charge_at=charge_at, mark=switch.marker, now=now)
    if again.cut is Cut.STOP and await another_is_current(conn, switch):
        again = Recheck(cut=Cut.UNDO, reason=NOT_CURRENT)
    match again.cut:
        case Cut.LEFT:
            return await undo(conn, switch, SwitchStatus.CANCELED, again.reason)
        case Cut.UNDO:
            refuse_early_undo(switch, now)
            return await undo(conn, switch, SwitchStatus.UNDONE, again.reason)
        case Cut.STOPPED:
            return await moved(conn, switch, SwitchStatus.STOPPED)
        case Cut.STOP:
            return await switches.move(conn, switch, SwitchStatus.STOPPING)


async def another_is_current(conn: AsyncConnection, switch: Switch) -> bool:
    """Whether another subscription than the source and the target is current, or none; the host may
    have linked the target itself.
    """
    current = await subscriptions.current(conn, switch.organization_id)
    source = (switch.source_provider, switch.source_subscription_id)
    return current is None or (
        (current.provider, current.id) != source and not switch.leads_to(current)
    )


async def note(conn: AsyncConnection, switch: Switch, checkout: CheckoutLink) -> None:
    """From now on every lookup of the organization queries the checkout, too."""
    await subscriptions.add(
        conn,
        switch.organization_id,
        switch.target_provider,
        checkout.subscription_id,
        checkout_url=checkout.url,
        checkout_key=switch.marker,
        checkout_plan_id=switch.target_plan_id,
    )
    await parking.adopt_subscription(
        conn, switch.target_provider, checkout.subscription_id, datetime.now(UTC)
    )


async def moved(
    conn: AsyncConnection, switch: Switch, to: SwitchStatus, reason: str = "", **changed: object
) -> SwitchState:
    await alerts.clear(conn, switch.organization_id, AlertKind.SWITCH_STUCK)
    return state_of(await switches.move(conn, switch, to, reason=reason, **changed))


async def undo(
    conn: AsyncConnection, switch: Switch, outcome: SwitchStatus, reason: str
) -> SwitchState:
    return await moved(conn, switch, SwitchStatus.UNDOING, reason, outcome=outcome)


def state_of(switch: Switch) -> SwitchState:
    waits = switch.expires_at if switch.state is SwitchStatus.OFFERED else switch.first_charge_at
    return SwitchState(
        migration_id=str(switch.id),
        target=switch.target_provider.value,
        progress=switch.state,
        reason=switch.reason,
        until=waits,
    )
