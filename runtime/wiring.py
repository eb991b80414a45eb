"""What the API and the worker are made of, built from settings in one place."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.billing import Billing
from activities.doorbell import Doorbell
from activities.enforcement import Enforcement
from activities.listing import Listing
from activities.migrating import Migrating
from activities.reconciling import Reconciling
from activities.sending import Sending
from domain.subscription import Provider
from providers.billing import BillingProvider
from providers.http import fast_client
from providers.twilio import Twilio
from runtime import billing
from runtime import settings as settings_of
from runtime.client import connect
from runtime.database import create_engine
from runtime.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything with a connection, made once per process."""

    settings: Settings
    engine: AsyncEngine
    client: Client
    providers: dict[Provider, BillingProvider]
    twilio: Twilio
    doorbell: Doorbell

    @property
    def sending(self) -> Sending:
        return Sending(
            self.engine,
            self.twilio,
            self.doorbell,
            public_url=self.settings.public_url,
            lost_after=self.settings.unknown_message_lost_after,
            messages_per_second=self.settings.twilio_messages_per_second,
        )

    @property
    def billing(self) -> Billing:
        return Billing(self.engine, self.providers, self.doorbell)

    @property
    def enforcement(self) -> Enforcement:
        return Enforcement(self.engine, self.twilio, self.doorbell)

    @property
    def migrating(self) -> Migrating:
        return Migrating(self.engine, self.providers)

    @property
    def listing(self) -> Listing:
        return Listing(self.engine, self.providers, self.doorbell)

    @property
    def reconciling(self) -> Reconciling:
        return Reconciling(self.engine, self.providers, self.twilio, self.doorbell, self.sending)


@asynccontextmanager
async def from_environment(
    identity: str, *, lazy: bool = True, runtime: Runtime | None = None
) -> AsyncIterator[Services]:
    """The services as the environment describes them. Raises `BadSettings` with what is missing.

    `lazy` lets the API start while Temporal is down; a worker cannot. `runtime` is Temporal's, with its telemetry.
    """
    settings = settings_of.load(Settings)
    groups, twilio = billing.set_up(), settings_of.load(settings_of.Twilio)
    connection = settings_of.temporal_connection()
    if connection is None or settings.database_url is None:
        missing = "TEMPORAL_ADDRESS" if connection is None else "TOLLGATE_DATABASE_URL"
        raise settings_of.BadSettings(f"{missing} is not set (`tollgate dev` starts servers of its own)")
    client = await connect(connection, lazy=lazy, identity=identity, runtime=runtime)
    async with services(settings, groups, twilio, client, settings.database_url.get_secret_value()) as built:
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
    engine = create_engine(database_url, settings.db_pool_size)
    try:
        async with fast_client(read=billing.PROVIDER_READ_SECONDS) as to_twilio, billing.providers(groups) as providers:
            yield Services(
                settings=settings,
                engine=engine,
                client=client,
                providers=providers,
                twilio=Twilio(
                    client=to_twilio,
                    account_sid=twilio.account_sid,
                    auth_token=twilio.auth_token.get_secret_value(),
                    base_url=twilio.base_url,
                ),
                doorbell=Doorbell(
                    client=client,
                    lifecycle_task_queue=settings.lifecycle_task_queue,
                    campaign_task_queue=settings.campaign_task_queue,
                    self_check=settings.self_check_interval,
                ),
            )
    finally:
        await engine.dispose()
