"""Compares Twilio's count of segments with ours, in the lists that are read for prices anyway."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import locks
from db.carrier import segment_differences
from domain.campaigns.telephony import SentMessage
from domain.carrier.segments import counted

log = structlog.get_logger()


class SegmentDifferences:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def settle(self, organization_id: str, listed: Sequence[SentMessage]) -> None:
        """Charge or return each difference once, in a transaction of its own."""
        segments = {
            message.sid: theirs for message in listed if (theirs := counted(message)) is not None
        }
        if not segments:
            return
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            settled = await segment_differences.settle(
                conn, organization_id, segments, now=datetime.now(UTC)
            )
        if settled.messages:
            log.info(
                "segments_differ",
                organization_id=organization_id,
                messages=settled.messages,
                charged_micros=settled.charged_micros,
                returned_micros=settled.returned_micros,
            )
