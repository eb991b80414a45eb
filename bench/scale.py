"""Measures what a call costs the PostgreSQL server among few and among many organizations, and how
long `certify` takes over what is new.

Costs are the processor time of the connection's server process: other load changes them little.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import many_organizations, scale_calls
from bench.outcome import BenchFailed
from bench.scale_calls import Call, Calls
from db.audit import certify
from db.wallet import seals
from db.wallet.unsealed_wallets import NOTHING

DEBITS = 26
"""Each organization has 30 entries and more."""
MESSAGES = 1_000_000
NEW_ENTRIES = 10_000
PLANNED = 20
"""After so many calls, psycopg and PostgreSQL have settled on how they prepare the statements."""
LONGEST = 4.0
"""For so many seconds a call is repeated, at most."""
SUSPENSION = "suspension_close_1m_messages"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """Of what is new: the time, and the processor time of the server, for 10,000 new entries."""

    seconds: float
    cpu_seconds: float
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OfInstallation:
    """Measured on a complete installation."""

    actions_per_idle_organization_month: float
    other_provider_suspended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`costs` has, for each call, the microseconds at each size."""

    organizations: Sequence[int]
    costs: dict[str, list[float]]
    certified: Certified
    of_installation: OfInstallation | None = None

    @property
    def ratios(self) -> dict[str, float]:
        return {name: costs[-1] / costs[0] for name, costs in self.costs.items()}

    def as_json(self) -> dict[str, Any]:
        return {
            "organizations": list(self.organizations),
            "cpu_us": {name: [round(us) for us in costs] for name, costs in self.costs.items()},
            "ratio": {name: round(ratio, 2) for name, ratio in self.ratios.items()},
            **({} if self.of_installation is None else asdict(self.of_installation)),
            "certify_new_s_per_10k": round(self.certified.seconds, 2),
            "certify_new_cpu_s_per_10k": round(self.certified.cpu_seconds, 2),
            "certify": self.certified.holds,
        }


async def run(
    engines: dict[int, AsyncEngine],
    say: Say,
    *,
    messages: int = MESSAGES,
    new: int = NEW_ENTRIES,
    repeated: int = scale_calls.ACTIVE,
) -> Report:
    """An engine with a single connection for the database of each size, the smallest first."""
    largest = max(engines)
    for number, engine in engines.items():
        say(f"filling {number:,} organizations")
        more = messages if number == largest else messages // 100
        await many_organizations.fill(engine, number, debits=DEBITS, more_messages=more)
    say("measuring")
    calls = {number: Calls(number).by_name() for number in engines}
    costs = {
        name: await _costs(
            [(engine, calls[number][name]) for number, engine in engines.items()], repeated
        )
        for name in calls[largest]
    }
    costs[SUSPENSION] = await _costs(
        [(engine, scale_calls.close_suspension) for engine in engines.values()],
        repeated,
        prepare=scale_calls.open_receipt,
    )
    say("certifying everything, then what is new")
    certified = await _certified(engines[largest], largest, new)
    return Report(organizations=list(engines), costs=costs, certified=certified)


async def _costs(
    calls: Sequence[tuple[AsyncEngine, Call]], repeated: int, *, prepare: Call | None = None
) -> list[float]:
    """Microseconds of the server for the call at each size, once each organization that it is about
    was touched. With `prepare`, each call is rolled back.

    The sizes take turns: other load, which makes processor time dearer, meets all of them.
    """
    spent: list[list[int]] = []
    for _ in ("until it is warm", "measured"):
        spent.clear()
        ends = time.perf_counter() + LONGEST
        while len(spent) < repeated and (len(spent) < PLANNED or time.perf_counter() < ends):
            spent.append([await _spent(engine, call, prepare) for engine, call in calls])
    return [median(of_size) / 1000 for of_size in zip(*spent, strict=True)]


async def _spent(engine: AsyncEngine, call: Call, prepare: Call | None) -> int:
    """Nanoseconds."""
    async with engine.connect() as conn:
        if prepare is not None:
            await prepare(conn)
        process = await _server_process(conn)
        before = _nanoseconds(process)
        await call(conn)
        if prepare is None:
            await conn.commit()
        return _nanoseconds(process) - before


async def _server_process(conn: AsyncConnection) -> int:
    raw: Any = (await conn.get_raw_connection()).driver_connection
    return int(raw.info.backend_pid)


def _nanoseconds(process: int) -> int:
    """Of processor time, as Linux counts them."""
    return int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[0])


async def _certified(engine: AsyncEngine, number: int, new: int) -> Certified:
    await _seal(engine)
    everything = await certify.examine(engine)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL statement_timeout = 0"))
        await many_organizations.send(conn, number, new)
        process = await _server_process(conn)
    await _seal(engine)
    began, before = time.perf_counter(), _nanoseconds(process)
    of_new_rows = await certify.examine_new(engine)
    seconds, spent = time.perf_counter() - began, _nanoseconds(process) - before
    if of_new_rows is None:
        broken = [finding.check for finding in everything if not finding.holds]
        raise BenchFailed(f"the filled database does not certify: {broken}")
    return Certified(
        seconds=seconds * NEW_ENTRIES / new,
        cpu_seconds=spent / 1e9 * NEW_ENTRIES / new,
        holds=all(finding.holds for finding in [*everything, *of_new_rows]),
    )


async def _seal(engine: AsyncEngine) -> None:
    found = NOTHING
    while True:
        async with engine.begin() as conn:
            await conn.execute(text("SET LOCAL statement_timeout = 0"))
            sealed = await seals.seal(conn, found)
        found = sealed.found
        if not (sealed.entries or found.waiting):
            return
