"""Builds the services of the API and the worker from settings, in one place."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Passes
from activities.audit.read_backs import ReadBacks
from activities.audit.reconciliation import Reconciling
from activities.audit.recovery import Recovering
from activities.billing.confirmation import Billing
from activities.campaigns.dispatch import Sending
from activities.campaigns.status_checks import Checking
from activities.campaigns.twilio_send import Terms
from activities.carrier.recurring_costs import RecurringCosts
from activities.carrier.releases import Releases
from activities.carrier.tripwires import Tripwires
from activities.inbox.event_backfill import EventBackfill
from activities.inbox.owner_lookup import Finding
from activities.lifecycle.enforcement import Enforcement
from activities.notifier import Notifier
from activities.operations.bulk_acts import BulkActs
from activities.switching.steps import Switching
from db.lifecycle import subaccounts
from db.pipeline import reading
from domain.billing.subscription import Provider
from providers.billing import BillingProvider
from providers.breaker import Breaker
from providers.http import FastClient, fast_client
from providers.outbound import addresses
from providers.outbound.client import Outbound, outbound
from providers.twilio import Twilio
from runtime import (
    billing,
    environment,
    notifying,
    payload_codec,
    reconciliation,
    stored_secrets,
    twilio_accounts,
)
from runtime import settings as settings_of
from runtime.client import connect
from runtime.database import create_engine
from runtime.database_memory import Memory, remember
from runtime.notifying import Notifying, Routes
from runtime.outbound_endpoints import Endpoints
from runtime.outbound_sender import Sender
from runtime.server_wait import PATIENCE, Say, log_waiting
from runtime.servers import await_schema
from runtime.settings import Settings
from runtime.stored_secrets import StoredSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything with a connection, created once per process."""

    settings: Settings
    engine: AsyncEngine
    memory: Memory
    client: Client
    providers: dict[Provider, BillingProvider]
    twilio: Twilio
    twilio_of_steps: Twilio
    """With connections of its own: no message delays a suspension."""
    notifier: Notifier
    outbound: Outbound
    """Calls addresses that others name."""
    secrets: StoredSecrets
    notification_routes: Routes

    @property
    def sender(self) -> Sender:
        return Sender(self.outbound, self.secrets)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.outbound, self.secrets)

    @property
    def notifying(self) -> Notifying:
        return Notifying(self.engine, self.notification_routes, notifying.pace_from(self.settings))

    @property
    def sending(self) -> Sending:
        return Sending(
            self.engine,
            self.twilio,
            self.notifier,
            terms=Terms(
                public_url=self.settings.public_url, validity=self.settings.message_validity
            ),
            lost_after=self.settings.unknown_message_lost_after,
            messages_per_second=self.settings.twilio_messages_per_second,
        )

    @property
    def checking(self) -> Checking:
        return Checking(
            self.engine,
            self.twilio,
            self.notifier,
            lost_after=self.settings.unknown_message_lost_after,
        )

    @property
    def billing(self) -> Billing:
        return Billing(self.engine, self.providers, self.notifier)

    @property
    def findings(self) -> list[Finding]:
        """One for each provider: one that does not answer holds up no other."""
        return [
            Finding(self.engine, self.providers, self.settings.other_products, of=provider)
            for provider in Provider
        ]

    @property
    def enforcement(self) -> Enforcement:
        return Enforcement(
            self.engine,
            self.twilio_of_steps,
            self.notifier,
            rotates_tokens=self.settings.rotate_tokens_at_suspension,
        )

    @property
    def switching(self) -> Switching:
        return Switching(self.engine, self.providers)

    @property
    def event_backfill(self) -> EventBackfill:
        return EventBackfill(self.engine, self.providers, self.notifier)

    def recovering(self, say: Say) -> Recovering:
        return Recovering(
            self.engine,
            self.providers,
            self.twilio,
            billing=self.billing,
            backfill=self.event_backfill,
            findings=self.findings,
            say=say,
        )

    @property
    def reconciling(self) -> Reconciling:
        return Reconciling(
            self.engine, self.twilio, self.notifier, self.sending, Budgets(self.engine)
        )

    @property
    def bulk_acts(self) -> BulkActs:
        return BulkActs(self.engine, self.notifier)

    @property
    def recurring_costs(self) -> RecurringCosts:
        budgets = Budgets(self.engine)
        return RecurringCosts(
            self.engine, self.twilio, lambda: budgets.take(Endpoint.TWILIO_ACCOUNTS)
        )

    @property
    def releases(self) -> Releases:
        return Releases(self.engine, self.twilio)

    @property
    def read_backs(self) -> ReadBacks:
        return reconciliation.read_backs(self.engine, self.twilio, self.notifier)

    @property
    def tripwires(self) -> Tripwires:
        return reconciliation.tripwires(
            self.engine, self.twilio, self.notifier, public_url=self.settings.public_url
        )

    @property
    def passes(self) -> Passes:
        return reconciliation.passes(
            self.engine,
            self.providers,
            self.twilio,
            self.notifier,
            self.reconciling,
            self.tripwires,
        )


@asynccontextmanager
async def from_environment(
    identity: str,
    *,
    lazy: bool = True,
    runtime: Runtime | None = None,
    patience: timedelta = PATIENCE,
    say: Say = log_waiting,
) -> AsyncIterator[Services]:
    """The services configured by the environment, on servers that respond.

    `lazy` lets the API start while Temporal is down; a worker cannot. `runtime` is Temporal's, with
    its telemetry. Raises `BadSettings` and `ServerAway`.
    """
    configuration = environment.read()
    await await_schema(configuration.database_url, patience=patience, say=say)
    client = await connect(
        configuration.temporal,
        lazy=lazy,
        patience=patience,
        identity=identity,
        runtime=runtime,
        say=say,
        codec=payload_codec.codec(configuration.settings.payload_keys),
    )
    async with services(
        configuration.settings,
        configuration.billing,
        configuration.twilio,
        client,
        configuration.database_url,
    ) as built:
        yield built


@asynccontextmanager
async def services(
    settings: Settings,
    groups: Sequence[settings_of.Group],
    twilio: settings_of.Twilio,
    client: Client,
    database_url: str,
) -> AsyncIterator[Services]:
    """Build the services around a Temporal client, and close their connections at the end."""
    engine, memory = create_engine(database_url, settings.db_pool_size), Memory()
    remember(engine, memory)

    async def parent_of(account_sid: str) -> str | None:
        async with reading(engine).connect() as conn:
            return await subaccounts.parent_of(conn, account_sid)

    def at_twilio(through: FastClient) -> Twilio:
        return Twilio(
            client=through,
            account_sid=twilio.account_sid,
            auth_token=twilio.auth_token.get_secret_value(),
            base_url=twilio.base_url,
            further=twilio_accounts.read(twilio.further_accounts),
            recorded=parent_of,
        )

    try:
        async with (
            fast_client(read=billing.PROVIDER_READ_SECONDS) as to_twilio,
            fast_client(read=billing.PROVIDER_READ_SECONDS, breaker=Breaker()) as for_steps,
            billing.providers(groups) as providers,
            outbound(
                listed=[addresses.network(text) for text in settings.outbound_networks],
                http=settings.outbound_http,
            ) as calling,
            notifying.channels(settings) as channels,
        ):
            yield Services(
                settings=settings,
                engine=engine,
                memory=memory,
                client=client,
                providers=providers,
                twilio=at_twilio(to_twilio),
                twilio_of_steps=at_twilio(for_steps),
                notifier=Notifier(
                    client=client,
                    lifecycle_task_queue=settings.lifecycle_task_queue,
                    campaign_task_queue=settings.campaign_task_queue,
                ),
                outbound=calling,
                secrets=stored_secrets.read(settings.secret_keys),
                notification_routes=notifying.routes_from(settings, channels),
            )
    finally:
        await engine.dispose()
