"""The passes that find messages past Tollgate, and that compare usage triggers."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.passes import Pass
from activities.carrier.tripwires import Tripwires
from db.carrier import message_readings


class CarrierPasses:
    def __init__(self, engine: AsyncEngine, tripwires: Tripwires) -> None:
        self._engine = engine
        self._foreign = tripwires.foreign
        self._tripwires = tripwires

    async def find_foreign_messages(self, at: Pass) -> Pass:
        """Read the lists of messages of a few organizations for those that are not ours."""
        if not at.expected:
            async with self._engine.connect() as conn:
                at = replace(at, expected=await message_readings.number_of_organizations(conn))
        readings = await self._foreign.find(
            at.at or "", organizations=at.expected, now=datetime.now(UTC)
        )
        at = at.beyond(readings.after, compared=readings.read, differing=readings.found)
        return at if readings.after is not None else at.end()

    async def compare_tripwires(self, at: Pass) -> Pass:
        """Compare the usage triggers of a few organizations with those at Twilio."""
        compared = await self._tripwires.compare(at.at or "", now=datetime.now(UTC))
        at = at.beyond(compared.after, compared=compared.compared, differing=compared.changed)
        return at if compared.after is not None else at.end()
