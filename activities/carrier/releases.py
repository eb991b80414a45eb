"""Gives up at Twilio what an operator confirmed: a number's webhooks or the number, recordings; and
sees whether a short code was given back.
"""

import json
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db.carrier import releases
from db.carrier.releases import NotProposed, NotSuspended, Release
from db.lifecycle import organizations
from domain.carrier.release import ReleaseStep
from providers.twilio import Twilio, possessions
from providers.twilio import numbers as at_twilio

log = structlog.get_logger()


class Releases:
    def __init__(self, engine: AsyncEngine, twilio: Twilio) -> None:
        self._engine = engine
        self._twilio = twilio

    async def confirm(
        self,
        organization_id: str,
        step: ReleaseStep,
        number_sid: str,
        *,
        by: str,
        reason: str,
        now: datetime,
    ) -> Release | NotSuspended | NotProposed:
        """Record who wants it and why, then do it. Safe to repeat: what was recorded and not done is
        done then, as where there is too much to delete at once. Raises ProviderError if Twilio
        does not do it.
        """
        async with self._engine.begin() as conn:
            organization = await organizations.get(conn, organization_id)
            release = await releases.confirm(
                conn, organization_id, step, number_sid, by=by, reason=reason, now=now
            )
        if organization is None or not isinstance(release, Release) or release.done_at is not None:
            return release
        outcome = await self._do(organization.twilio_account_sid, release)
        if outcome is None:
            return release
        before = outcome
        async with self._engine.begin() as conn:
            release = await releases.done(conn, organization_id, release, before=before, now=now)
        log.warning(
            "given_up", organization_id=organization_id, step=step.value, number=number_sid, by=by
        )
        return release

    async def _do(self, account_sid: str, release: Release) -> str | None:
        """Returns the webhooks that the number had; None if it is not done yet."""
        sid = release.proposal.number_sid
        if release.proposal.step is ReleaseStep.DELETE_RECORDINGS:
            return "" if await possessions.delete_recordings(self._twilio, account_sid) else None
        if release.proposal.step is ReleaseStep.RETURN_SHORT_CODE:
            left = await possessions.short_codes(self._twilio, account_sid)
            return None if any(each.sid == sid for each in left) else ""
        number = await at_twilio.number(self._twilio, account_sid, sid)
        if number is None:
            return ""
        if release.proposal.step is ReleaseStep.REMOVE_WEBHOOKS:
            await at_twilio.remove_webhooks(self._twilio, account_sid, sid)
        else:
            await at_twilio.release(self._twilio, account_sid, sid)
        return json.dumps(number.webhooks, sort_keys=True)
