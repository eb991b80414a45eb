"""Inspects messaging services that organizations send by: when one is set, and each day, since the
owner of the subaccount may change it at any time. Campaigns of one that may send RCS unpaid wait.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line, translated_forever
from db.campaigns import sender_problems
from db.lifecycle import directory
from db.lifecycle.organizations import Organization
from domain.campaigns import senders
from domain.carrier.messaging_services import danger
from providers.errors import ProviderError, ProviderRefused, ProviderUnavailable
from providers.twilio import Twilio
from providers.twilio.subaccount import channel_senders

log = structlog.get_logger()
ORGANIZATIONS = 20
"""In one step."""


async def inspect(twilio: Twilio, account_sid: str, sender: str) -> str | None:
    """Why the sender may cost more than SMS; None: it does not, is no messaging service, or Twilio
    refuses the question, as for a suspended subaccount or a service that it does not have.

    Raises `ProviderUnavailable`.
    """
    if not senders.is_service(sender):
        return None
    channels = await _channels(twilio, account_sid, sender)
    return None if channels is None else danger(channels)


async def _channels(twilio: Twilio, account_sid: str, service: str) -> list[str] | None:
    """None if Twilio does not say."""
    try:
        return await channel_senders(twilio, account_sid, service)
    except ProviderRefused as refusal:
        log.info("service_not_inspected", account_sid=account_sid, reason=first_line(refusal))
        return None


class SenderInspection:
    """`notify` tells a campaign's run to look again. `turn` waits for the turn of one call of the
    budget that all workers share.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        notify: Callable[[str, UUID], Awaitable[None]],
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._notify = notify
        self._turn = turn

    async def step(self, after: str) -> tuple[str | None, int, int]:
        """Inspect the next organizations; returns the last one, None at the end, how many were
        inspected, and how many are in danger. Raises retryably if Twilio answers nothing.
        """
        async with self._engine.connect() as conn:
            found = await directory.with_services(conn, after=after, limit=ORGANIZATIONS)
        silent: list[ProviderError] = []
        dangers = 0
        for organization in found:
            await self._turn()
            try:
                dangers += await self._inspect(organization)
            except ProviderUnavailable as problem:
                log.warning(
                    "service_not_inspected",
                    organization_id=organization.id,
                    reason=first_line(problem),
                )
                silent.append(problem)
        if silent and len(silent) == len(found):
            with translated_forever():
                raise silent[0]
        following = found[-1].id if len(found) == ORGANIZATIONS else None
        return following, len(found), dangers

    async def _inspect(self, organization: Organization) -> bool:
        channels = await _channels(
            self._twilio, organization.twilio_account_sid, organization.sender
        )
        if channels is None:
            return bool(
                organization.sender_problem
            )  # what is known stays, as while it is suspended
        found = danger(channels)
        async with self._engine.begin() as conn:
            campaigns = await sender_problems.note(
                conn, organization.id, organization.sender, found
            )
        for campaign_id in campaigns:
            await self._notify(organization.id, campaign_id)
        return found is not None
