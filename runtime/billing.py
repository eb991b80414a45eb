"""The supported billing providers with their settings; at least one must be configured.

To add one, add a line to `REGISTRY` and a function that builds it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from domain.billing.subscription import Provider
from providers.billing import BillingProvider
from providers.breaker import Breaker
from providers.errors import ProviderUnavailable
from providers.http import fast_client
from providers.paypal import Certificates, PayPal, Trust
from providers.stripe import Stripe, SuspendBy
from runtime import settings
from runtime.settings import BadSettings

PROVIDER_READ_SECONDS = 8.0
"""Shorter than any activity's timeout for one attempt, so that a retry never overlaps an earlier
call.
"""


@asynccontextmanager
async def _paypal(of: settings.PayPal) -> AsyncIterator[BillingProvider]:
    async with (
        fast_client(of.base_url, read=PROVIDER_READ_SECONDS, breaker=Breaker()) as client,
        fast_client(read=5.0) as to_certificates,
    ):
        yield PayPal(
            client=client,
            client_id=of.client_id.get_secret_value(),
            client_secret=of.client_secret.get_secret_value(),
            webhook_ids=of.webhook_ids,
            certificates=Certificates(to_certificates, Trust.load(of.ca_file), of.cert_origins),
            online_fallback=of.verify_online_fallback,
        )


@asynccontextmanager
async def _stripe(of: settings.Stripe) -> AsyncIterator[BillingProvider]:
    async with fast_client(read=PROVIDER_READ_SECONDS, breaker=Breaker()) as client:
        yield Stripe(
            client=client,
            base_url=of.base_url,
            api_key=of.api_key.get_secret_value(),
            webhook_secrets=[secret.get_secret_value() for secret in of.webhook_secrets],
            account=of.account,
            suspend_by=SuspendBy(of.suspend_by),
        )


REGISTRY: Mapping[
    type[settings.Group], Callable[[Any], AbstractAsyncContextManager[BillingProvider]]
] = {
    settings.PayPal: _paypal,
    settings.Stripe: _stripe,
}


class _SetUp(dict[Provider, BillingProvider]):
    """A provider that is not configured behaves as if it were down, for its own organizations only."""

    def __missing__(self, name: Provider) -> BillingProvider:
        raise ProviderUnavailable(f"{name} is not set up here", code="NOT_SET_UP")


def set_up() -> list[settings.Group]:
    """The groups with at least one required variable set. Raises `BadSettings` if there is none, or
    an incomplete one.
    """
    found: list[settings.Group] = []
    problems: list[str] = []
    for group in REGISTRY:
        if settings.given(group):
            try:
                found.append(settings.load(group))
            except BadSettings as problem:
                problems.extend(problem.problems)
    if problems:
        raise BadSettings(*problems)
    if not found:
        names = " or ".join(f"{settings.required(group)[0]} is not set" for group in REGISTRY)
        raise BadSettings(f"{names}: no billing provider is set up")
    return found


@asynccontextmanager
async def providers(
    groups: Sequence[settings.Group],
) -> AsyncIterator[dict[Provider, BillingProvider]]:
    """Build the providers, and close their connections at the end."""
    async with AsyncExitStack() as stack:
        built = [await stack.enter_async_context(REGISTRY[type(group)](group)) for group in groups]
        yield _SetUp({provider.name: provider for provider in built})
