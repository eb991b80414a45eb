"""Records in the campaign's row, and logs, what its sender waits for, each time that changes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db.campaigns import runs
from domain.campaigns.waits import Waits, in_words

log = structlog.get_logger()
NOTICEABLE = 5.0
"""Seconds; a shorter wait is not recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Seconds for which nothing is sent."""

    reason: Waits
    seconds: float
    detail: str = ""


@dataclass(slots=True)
class Pauses:
    """Of one campaign; `noted` is what its row says that it waits for."""

    engine: AsyncEngine
    organization_id: str
    campaign_id: UUID
    noted: str = ""

    async def note(self, pause: Pause) -> None:
        if pause.seconds < NOTICEABLE and pause.reason is not Waits.TWILIO_UNREACHABLE:
            return
        until = datetime.now(UTC) + timedelta(seconds=pause.seconds)
        detail = pause.detail or in_words(pause.reason)
        async with self.engine.begin() as conn:
            noted = await runs.note(
                conn,
                self.organization_id,
                self.campaign_id,
                pause.reason,
                until=until,
                detail=detail,
            )
        self.noted = pause.reason
        if noted is not None and noted.new:
            log.warning(
                "campaign_waits",
                **self._about,
                reason=pause.reason,
                detail=detail,
                until=until.isoformat(),
            )

    async def over(self) -> None:
        """Record that it no longer waits."""
        if self.noted:
            async with self.engine.begin() as conn:
                await runs.note(conn, self.organization_id, self.campaign_id, None)
            log.info("campaign_wait_ended", **self._about, waited_for=self.noted)
            self.noted = ""

    @property
    def _about(self) -> dict[str, str]:
        return {"organization_id": self.organization_id, "campaign_id": str(self.campaign_id)}
