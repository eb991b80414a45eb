"""The pass that inspects the messaging services that organizations send by."""

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.passes import Pass
from activities.carrier.sender_inspection import SenderInspection
from activities.notifier import Notifier
from providers.twilio import Twilio

CALLS = 2
"""The account's token, and the senders."""


class SendersPass:
    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, notifier: Notifier, budgets: Budgets
    ) -> None:
        self._inspection = SenderInspection(
            engine,
            twilio,
            notifier.notify_campaign,
            lambda: budgets.take(Endpoint.TWILIO_ACCOUNTS, CALLS),
        )

    async def step(self, at: Pass) -> Pass:
        following, inspected, dangers = await self._inspection.step(at.at or "")
        at = at.beyond(following, compared=inspected, differing=dangers)
        return at if following is not None else at.end()
