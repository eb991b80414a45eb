"""Measures turns a second of many senders that share the account's pace, beside one row's lock for
each turn.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.campaigns.pacing import Pacing
from bench.outcome import Measured, from_callers
from db.campaigns import pace

SECONDS = 4.0
SENDERS = 1_000
FAST = 100_000
"""Messages a second of the account: fast enough that no turn is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Turns of windows a second: each is one of its organization, and one of the account."""

    together: Measured
    one_by_one: Measured

    def as_json(self) -> dict[str, float]:
        return {
            "turns": round(self.together.per_second),
            "turns_p99_ms": round(self.together.p99_ms, 1),
            "one_by_one": round(self.one_by_one.per_second),
            "senders": SENDERS,
        }


async def run(engine: AsyncEngine) -> Report:
    pacing = Pacing(engine)

    async def together(sender: int, _: int) -> None:
        await pacing.take(f"organization-{sender}", 1, per_second=1)
        await pacing.take(pace.WHOLE_ACCOUNT, 1, per_second=FAST)

    async def one_by_one(sender: int, _: int) -> None:
        async with engine.begin() as conn:
            await pace.take(conn, f"organization-{sender}", 1, per_second=1)
            await pace.take(conn, pace.WHOLE_ACCOUNT, 1, per_second=FAST)

    return Report(
        one_by_one=await from_callers(8, SECONDS, one_by_one),
        together=await from_callers(SENDERS, SECONDS, together),
    )
