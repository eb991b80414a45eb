"""Queries and commands the source's and the target's provider of a switch, and records their
answers.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.billing.snapshots import query
from activities.failures import STALE, stale, translated
from db.billing import subscriptions
from db.inbox import snapshots
from db.switching import switches
from db.switching.switches import Switch
from domain.billing.subscription import BILLING, Provider, Snapshot, State
from domain.switching.switch import SwitchStatus
from providers.billing import BillingProvider, CheckoutLink, Later
from providers.errors import ProviderRefused, ProviderUnavailable

STALE_ATTEMPTS = 3
STOP_SENT_WITHIN = timedelta(seconds=20)
"""After this time an attempt sends no call to stop the source."""
STOP_OVER_AFTER = timedelta(minutes=1)
"""This long after the last attempt began, none is running."""


class SwitchProviders:
    """Raises provider errors as Temporal's."""

    def __init__(self, providers: Mapping[Provider, BillingProvider]) -> None:
        self._providers = providers

    def have(self, provider: Provider) -> bool:
        return provider in self._providers

    async def checkout(self, switch: Switch) -> CheckoutLink | ProviderRefused:
        """Create the checkout, one per switch; it charges first when the source's paid period ends."""
        assert switch.first_charge_at is not None
        assert switch.expires_at is not None
        with translated():
            try:
                return await self._at(switch.target_provider).create_checkout(
                    organization_id=switch.organization_id,
                    plan_id=switch.target_plan_id,
                    return_url=switch.return_url,
                    cancel_url=switch.cancel_url,
                    idempotency_key=switch.marker,
                    later=Later(
                        first_charge_at=switch.first_charge_at, expires_at=switch.expires_at
                    ),
                )
            except ProviderRefused as refused:
                return refused

    async def ask_both(self, switch: Switch) -> tuple[Snapshot, Snapshot]:
        source = await self.ask(switch.source_provider, switch.source_subscription_id)
        return source, await self.ask(switch.target_provider, switch.target_subscription_id or "")

    async def ask(self, provider: Provider, subscription_id: str) -> Snapshot:
        with translated():
            adapter = self._at(provider)
        return await query(adapter, subscription_id)

    async def stop(self, switch: Switch) -> Snapshot:
        """End the source with a marker that shows that we did. Somebody else may have ended it
        before.

        Stops trying before an undo is allowed: a later call would stop the subscription that
        continues.
        """
        with translated():
            source = self._at(switch.source_provider)
            try:
                async with asyncio.timeout(STOP_SENT_WITHIN.total_seconds()):
                    return await source.ensure_canceled(
                        switch.source_subscription_id, switch.marker
                    )
            except TimeoutError as late:
                raise ProviderUnavailable(
                    "the source could not be stopped in time", code="NO_ANSWER"
                ) from late

    async def end_target(self, switch: Switch, subscription_id: str) -> Snapshot:
        """Cancel the target. Without a consent it does not bill, even if the provider refuses to
        cancel it.
        """
        with translated():
            target = self._at(switch.target_provider)
            try:
                return await target.ensure_canceled(subscription_id, switch.marker)
            except ProviderRefused:
                snapshot = await self.ask(switch.target_provider, subscription_id)
                if snapshot.state in BILLING:
                    raise
                return snapshot

    def _at(self, provider: Provider) -> BillingProvider:
        if provider not in self._providers:
            raise ProviderRefused(f"{provider.value} is not set up here")
        return self._providers[provider]


async def fold(
    conn: AsyncConnection,
    switch: Switch,
    *,
    source: Snapshot | None = None,
    target: Snapshot | None = None,
) -> Switch:
    """Apply the snapshots, the target's first, as it may become current. Returns the updated
    switch.
    """
    answers = (
        (switch.target_provider, switch.target_subscription_id, target),
        (switch.source_provider, switch.source_subscription_id, source),
    )
    for provider, subscription_id, snapshot in answers:
        subscription = await subscriptions.find(conn, provider, subscription_id or "")
        if snapshot is None or subscription is None:
            continue
        cause = f"switch {switch.id}"
        folded = await snapshots.confirm(
            conn, subscription, snapshot, now=datetime.now(UTC), cause=cause, may_open=True
        )
        if folded is not None and folded.ask_again:
            # keeps the time of the first doubt, against which later attempts are compared
            await conn.commit()
            raise stale(
                f"{provider} {subscription_id}: the answer may be older than the recorded state"
            )
    return await switches.newest(conn, switch.organization_id) or switch


def refuse_early_undo(switch: Switch, now: datetime) -> None:
    """Refuse to undo while a lost attempt may still be stopping the source: a stop cannot be
    reverted.
    """
    left = switch.changed_at + STOP_OVER_AFTER - now
    if switch.state is SwitchStatus.STOPPING and left > timedelta(0):
        detail, again = (
            "a call that stops the source may still be running",
            min(left, timedelta(seconds=10)),
        )
        raise ApplicationError(
            detail, type=STALE, category=ApplicationErrorCategory.BENIGN, next_retry_delay=again
        )


def refuse_unknown(*snapshots: Snapshot) -> None:
    """Never act on an unknown status: query again, and if it stays unknown, an operator has to
    look.
    """
    unknown = [snapshot.raw_status for snapshot in snapshots if snapshot.state is State.UNKNOWN]
    if unknown:
        stays = activity.info().attempt > STALE_ATTEMPTS
        detail = f"a provider reports the unknown status {unknown[0]!r} for a subscription"
        raise ApplicationError(detail, type=STALE, non_retryable=stays)
