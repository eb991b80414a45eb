"""Budgets of calls that all workers share: reconciliation leaves most of a provider's limit to
what customers wait for.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import pace
from domain.carrier.usage import CALLS_PER_MINUTE


class Endpoint(StrEnum):
    """Keys of the table `pace`. None can be an organization's id, which contains no slash."""

    TWILIO_ACCOUNTS = "calls/twilio/accounts"
    TWILIO_MESSAGES = "calls/twilio/messages"
    TWILIO_USAGE = "calls/twilio/usage"
    PAYPAL = "calls/paypal"
    STRIPE = "calls/stripe/subscriptions"


CALLS_PER_SECOND: Mapping[Endpoint, int] = {
    Endpoint.TWILIO_ACCOUNTS: 20,
    Endpoint.TWILIO_MESSAGES: 10,
    Endpoint.TWILIO_USAGE: CALLS_PER_MINUTE // 60,
    # it publishes no limit, and advises against polling
    Endpoint.PAYPAL: 5,
    # it allows 25 a second for an endpoint
    Endpoint.STRIPE: 15,
}


class Budgets:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, endpoint: Endpoint, calls: int = 1, *, of: str = "") -> None:
        """Wait for the turn of so many calls, after all earlier ones of all workers; `of` a parent
        account, where each has a budget of its own.
        """
        key = f"{endpoint.value}/{of}" if of else endpoint.value
        async with self._engine.begin() as conn:
            wait = await pace.take(conn, key, calls, per_second=CALLS_PER_SECOND[endpoint])
        await asyncio.sleep(wait)
