"""Queries the snapshot of a subscription at its provider."""

from activities.failures import translated
from domain.billing.subscription import Snapshot, State
from providers.billing import BillingProvider
from providers.errors import NotFound

_NOT_FOUND = Snapshot(state=State.UNKNOWN, raw_status="not found")


async def query(provider: BillingProvider, subscription_id: str) -> Snapshot:
    """A subscription that the provider does not find is unknown: absence of data suspends nobody.
    Raises provider errors as Temporal's.
    """
    with translated():
        try:
            return await provider.get_subscription(subscription_id)
        except NotFound:
            return _NOT_FOUND
