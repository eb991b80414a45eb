"""Compares our records with the providers and the ledger; notifies a workflow or raises an alert,
and never changes money.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.campaigns import prices
from activities.campaigns.dispatch import Sending
from activities.campaigns.prices import PricesFrom
from activities.failures import first_line
from activities.notifier import Notifier
from db import alerts, locks
from db.audit import certify
from db.billing import blocks, subscriptions
from db.campaigns import messages, runs
from db.lifecycle import organizations, standings, suspensions, unnotified
from db.lifecycle.organizations import Organization
from db.switching import switches
from domain.alerts import AlertKind
from domain.billing.subscription import Provider
from domain.campaigns.telephony import Account, AccountStatus
from domain.campaigns.waits import SILENCE
from domain.lifecycle.standing import Standing, Status
from providers.billing import BillingProvider
from providers.errors import NotFound, ProviderError
from providers.twilio import Twilio

log = structlog.get_logger()
LOOKED_UP_AT_ONCE = 4
LONGEST_CHECK = timedelta(minutes=4)
"""Reading the whole ledger takes long, and Twilio may hang; each limit ends before its activity's
timeout.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Organizations ordered by id, starting after `after`."""

    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`after` is where the next page starts; None after the last page."""

    after: str | None
    compared: int = 0
    differing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    organizations: int = 0
    campaigns: int = 0


class Reconciling:
    def __init__(
        self,
        engine: AsyncEngine,
        providers: Mapping[Provider, BillingProvider],
        twilio: Twilio,
        notifier: Notifier,
        sending: Sending,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._twilio = twilio
        self._notifier = notifier
        self._sending = sending

    @activity.defn(name="ring_waiting")
    async def notify_waiting(self) -> Notified:
        """Notify every organization and campaign whose pending work was not acknowledged; keep
        provider switches running.
        """
        async with self._engine.connect() as conn:
            organization_ids = await switches.open_ones(conn, limit=1000)
        for organization_id in organization_ids:
            await self._notifier.ensure_switch(organization_id)
        return await self.notify()

    async def notify(self, *, everything: bool = False) -> Notified:
        """One step of the relay. Pass `everything` after Temporal was away and may have lost its
        state.

        Raises `RPCError` when Temporal does not answer; what was not notified is due again within
        seconds.
        """
        now = datetime.now(UTC)
        async with self._engine.begin() as conn:
            due = await unnotified.organizations(
                conn, now=now, limit=1000 if everything else 200, everything=everything
            )
        for index, organization_id in enumerate(due):
            try:
                await self._notifier.notify_organization(organization_id)
            except Exception:
                async with self._engine.begin() as conn:
                    await unnotified.notify_soon(conn, due[index:], now=now)
                raise
        async with self._engine.begin() as conn:
            silent = await runs.mark_silent(conn, before=now - SILENCE, limit=200)
        for organization_id, campaign_id in silent:
            await self._notifier.notify_campaign(organization_id, campaign_id)
        return Notified(organizations=len(due), campaigns=len(silent))

    @activity.defn(name="compare_organizations")
    async def compare_organizations(self, page: Page) -> Compared:
        """Compare a page of standings with the billing providers and Twilio; notify organizations
        that differ.
        """
        async with self._engine.connect() as conn:
            found = await organizations.page(conn, after=page.after, limit=page.limit)
        differing = 0
        for organization in found:
            activity.heartbeat(organization.id)
            try:
                difference = await self._difference(organization)
                if difference is not None:
                    differing += 1
                    await self._report(organization.id, difference)
                else:
                    async with self._engine.begin() as conn:
                        await locks.hurry(conn)
                        await alerts.clear(conn, organization.id, AlertKind.DIFFERS)
            except (
                ProviderError,
                DBAPIError,
            ) as problem:  # one organization's failure must not block the others
                log.warning(
                    "comparison_failed", organization_id=organization.id, reason=first_line(problem)
                )
        return Compared(
            after=found[-1].id if len(found) == page.limit else None,
            compared=len(found),
            differing=differing,
        )

    @activity.defn(name="settle_unknown_messages")
    async def settle_unknown_messages(self) -> int:
        """Look up every message sent over a minute ago without a confirmation; returns how many
        were decided.
        """
        async with self._engine.connect() as conn:
            found = await messages.unsettled_organizations(
                conn, before=datetime.now(UTC) - messages.UNSETTLED_AFTER, limit=1000
            )
        began, turns = time.monotonic(), asyncio.Semaphore(LOOKED_UP_AT_ONCE)

        async def look_up(organization_id: str) -> int:
            async with turns:
                if time.monotonic() - began > LONGEST_CHECK.total_seconds():
                    return 0  # Twilio hangs: the next pass looks up the rest
                try:
                    return await self._sending.resolve(organization_id)
                except (
                    ApplicationError,
                    DBAPIError,
                ) as problem:  # one organization's failure must not block the others
                    log.warning(
                        "message_lookup_failed",
                        organization_id=organization_id,
                        reason=first_line(problem),
                    )
                    return 0

        random.shuffle(found)  # otherwise the first organizations could starve the others
        return sum(await asyncio.gather(*(look_up(organization_id) for organization_id in found)))

    @activity.defn(name="audit")
    async def audit(self) -> list[str]:
        """Run the certification's checks and raise an alert for each failure; repairs nothing."""
        findings = await certify.examine(self._engine, longest=LONGEST_CHECK)
        failed = [finding for finding in findings if not finding.holds]
        async with self._engine.begin() as conn:
            for guarantee in {finding.guarantee for finding in findings} - {
                finding.guarantee for finding in failed
            }:
                await alerts.clear(conn, alerts.INSTALLATION, AlertKind(f"guarantee_{guarantee}"))
            for finding in failed:
                kind, detail = (
                    AlertKind(f"guarantee_{finding.guarantee}"),
                    f"{finding.check}: {finding.figure}",
                )
                await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
        for finding in failed:
            log.error(
                "guarantee_broken",
                guarantee=finding.guarantee,
                check=finding.check,
                figure=finding.figure,
            )
        return [finding.check for finding in failed]

    @activity.defn(name="record_prices")
    async def record_prices(self, at: PricesFrom) -> PricesFrom | None:
        """Record the prices that Twilio charged, a few pages per call; returns where to continue,
        None at the end.
        """
        return await prices.record(self._engine, self._twilio, at, now=datetime.now(UTC))

    async def _difference(self, organization: Organization) -> str | None:
        async with self._engine.connect() as conn:
            standing = await standings.get(conn, organization.id)
            current = await subscriptions.current(conn, organization.id)
        if standing is None or standing.behind:
            return None if standing is None else "the standing is not applied yet"
        if current is not None:
            try:
                snapshot = await self._providers[current.provider].get_subscription(current.id)
            except NotFound:
                return f"{current.provider.value} does not have subscription {current.id}"
            if snapshot.state is not current.snapshot.state:
                return (
                    f"{current.provider.value} reports {snapshot.state.value}, the database has "
                    f"{current.snapshot.state.value}"
                )
        try:
            account = await self._twilio.get_account(organization.twilio_account_sid)
        except NotFound:
            return f"Twilio does not have the subaccount {organization.twilio_account_sid}"
        active = account.status is AccountStatus.ACTIVE
        if active != (standing.status is Status.ACTIVE):
            await self._follow(standing, account)
            return (
                f"the standing is {standing.status.value}, the Twilio subaccount "
                f"{account.status.value}"
            )
        return None

    async def _follow(self, standing: Standing, account: Account) -> None:
        """Suspend the open subaccount of a suspended organization again; block an organization
        whose subaccount Twilio closed or suspended.
        """
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            if await standings.lock(conn, standing.organization_id) != standing:
                return  # it changed after the read: its lifecycle workflow is running
            if standing.status is Status.SUSPENDED:
                await standings.mark_unapplied(conn, standing.organization_id)
                return
            if account.status is AccountStatus.SUSPENDED and await suspensions.take_back(
                conn, standing, now=datetime.now(UTC)
            ):
                return
            reason = f"Twilio reports the subaccount as {account.status.value}"
            await blocks.block_telephony(
                conn, standing.organization_id, reason, now=datetime.now(UTC)
            )

    async def _report(self, organization_id: str, difference: str) -> None:
        log.warning("organization_differs", organization_id=organization_id, difference=difference)
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            await alerts.raise_(conn, organization_id, AlertKind.DIFFERS, difference)
        try:
            await self._notifier.notify_organization(organization_id)
        except RPCError as problem:
            log.warning("notification_failed", organization_id=organization_id, reason=str(problem))
