"""Measures a wallet's debits per second, compared with pgbench running the same statements and with
a simple SQLAlchemy solution.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import empty_route, wire, yardsticks
from bench.outcome import BenchFailed, Measured, from_callers
from bench.yardsticks import PgBench
from db.audit.certify import examine
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.wallet import wallets
from domain.money import Money
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Debited
from runtime.coalescer import Coalescer

SECONDS = 4
MANY = 2_000
LIST = 1_000
LISTS = 30
CONNECTIONS = 100
CENT = Money(1, "USD")
RICH = Money(10**15, "USD")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Debits a second, unless a name says otherwise; `as_json` is the report's public form."""

    pgbench: dict[int, PgBench]
    pgbench_many: PgBench
    serializable: Measured
    row_lock: Measured
    one_wallet: dict[int, Measured]
    many_evenly: Measured
    many_by_zipf: Measured
    http: Measured
    empty_route: Measured
    list_per_second: float
    certified: bool
    settings: dict[str, str]

    @property
    def best_of_pgbench(self) -> float:
        return max(measured.per_second for measured in self.pgbench.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "pgbench": {
                str(clients): round(measured.per_second)
                for clients, measured in self.pgbench.items()
            },
            "serializable_100": round(self.serializable.per_second),
            "row_lock_100": round(self.row_lock.per_second),
            "one_wallet": {
                str(callers): round(measured.per_second)
                for callers, measured in self.one_wallet.items()
            },
            "one_wallet_100_p99_ms": round(self.one_wallet[100].p99_ms, 2),
            "many_wallets_100": round(self.many_evenly.per_second),
            "many_wallets_zipf_100": round(self.many_by_zipf.per_second),
            "pgbench_many_wallets_100": round(self.pgbench_many.per_second),
            "http_100": round(self.http.per_second),
            "http_100_p99_ms": round(self.http.p99_ms, 1),
            "empty_route_100": round(self.empty_route.per_second),
            "list_1000": round(self.list_per_second),
            "alone_ms": round(self.one_wallet[1].p50_ms, 3),
            "pgbench_alone_ms": round(self.pgbench[1].average_ms, 3),
            "settings": self.settings,
            "certify": self.certified,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running installation: two engines for its database, its API, and an API key; and
    `bench.empty_route`.
    """

    engine: AsyncEngine
    crowded: AsyncEngine
    database_url: str
    api_url: str
    empty_route_url: str
    key: str


async def run(target: Target, say: Say) -> Report:
    """Measure everything in one run. Raises `BenchFailed` if a sum or a reference is wrong."""
    say(f"opening {MANY + 8} wallets")
    await _open(target.engine)
    settings = await _settings(target.engine)
    say("pgbench, our own statements one by one")
    pgbench = {n: await _pgbench(target, "one-pgbench", clients=n) for n in (1, 8, 100)}
    pgbench_many = await _pgbench(target, "many-", wallets_in_all=MANY, clients=100)
    await _check(target.engine)
    say("SQLAlchemy: SERIALIZABLE with retries, then a row lock")
    serializable = await yardsticks.serializable(target.crowded, callers=100, seconds=SECONDS)
    row_lock = await yardsticks.row_lock(target.crowded, callers=100, seconds=SECONDS)
    say("ours, one wallet")
    coalescer = Coalescer(target.engine)
    one_wallet = {}
    for callers in (1, 8, 100, 1000):
        one_wallet[callers] = await _ours(coalescer, callers, [f"one-{callers}"])
        await _check(target.engine)
    say(f"ours, {MANY} wallets")
    many = [f"many-{number}" for number in range(1, MANY + 1)]
    many_evenly = await _ours(coalescer, 100, many)
    many_by_zipf = await _ours(coalescer, 100, many, zipf=True)
    await _check(target.engine)
    say("ours, lists and HTTP")
    list_per_second = await _lists(coalescer)
    http = await _http(target, target.api_url)
    empty = await _http(target, target.empty_route_url)
    await _check(target.engine)
    say("certifying")
    return Report(
        pgbench=pgbench,
        pgbench_many=pgbench_many,
        serializable=serializable,
        row_lock=row_lock,
        one_wallet=one_wallet,
        many_evenly=many_evenly,
        many_by_zipf=many_by_zipf,
        http=http,
        empty_route=empty,
        list_per_second=list_per_second,
        certified=await _certified(target.engine),
        settings=settings,
    )


async def _open(engine: AsyncEngine) -> None:
    names = [f"many-{number}" for number in range(1, MANY + 1)]
    names += [
        "one-pgbench",
        "one-list",
        "one-http",
        *(f"one-{callers}" for callers in (1, 8, 100, 1000)),
    ]
    async with engine.begin() as conn:
        for name in names:
            await organizations.create(conn, _organization(name))
        await wallets.post_all(conn, {name: [credit("opening", RICH)] for name in names})


def _organization(name: str) -> Organization:
    return Organization(
        id=name,
        name=name,
        twilio_account_sid=f"AC-{name}",
        sender="+15550001111",
        currency="USD",
        price_per_segment=Money(10_000, "USD"),
        grace=timedelta(),
    )


async def _settings(engine: AsyncEngine) -> dict[str, str]:
    """PostgreSQL's current settings. A benchmark without durability is refused."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    async with engine.connect() as conn:
        found = {
            name: str((await conn.execute(text(f"SHOW {name}"))).scalar_one()) for name in names
        }
    if (found["fsync"], found["synchronous_commit"]) != ("on", "on"):
        raise BenchFailed("fsync or synchronous_commit is off")
    return found


async def _pgbench(
    target: Target, wallet: str, *, wallets_in_all: int = 1, clients: int
) -> PgBench:
    return await asyncio.to_thread(
        yardsticks.pgbench,
        target.database_url,
        wallet,
        wallets_in_all=wallets_in_all,
        clients=clients,
        seconds=SECONDS,
    )


async def _ours(
    coalescer: Coalescer, callers: int, names: Sequence[str], *, zipf: bool = False
) -> Measured:
    run_id = time.monotonic_ns()
    chance = random.Random(1)  # noqa: S311 - the same choices in every run
    weights = list(accumulate(1 / rank for rank in range(1, len(names) + 1))) if zipf else None
    chosen = chance.choices(names, cum_weights=weights, k=1_000_000) if len(names) > 1 else names

    async def debit_once(caller: int, number: int) -> None:
        name = chosen[(caller * 9973 + number) % len(chosen)]
        [outcome] = await coalescer.post(name, [debit(f"{run_id}-{caller}-{number}", CENT)])
        if not isinstance(outcome, Debited) or outcome.replayed:
            raise BenchFailed(f"a debit was refused: {outcome}")

    return await from_callers(callers, SECONDS, debit_once)


async def _lists(coalescer: Coalescer) -> float:
    began = time.perf_counter()
    for number in range(LISTS):
        outcomes = await coalescer.post(
            "one-list", [debit(f"{number}-{place}", CENT) for place in range(LIST)]
        )
        if not all(isinstance(outcome, Debited) for outcome in outcomes):
            raise BenchFailed("a debit of a list was refused")
    return LISTS * LIST / (time.perf_counter() - began)


async def _http(target: Target, url: str) -> Measured:
    connections = await wire.connect(url, target.key, CONNECTIONS)
    path = empty_route.PATH.format(organization_id="one-http")

    async def debit_once(caller: int, number: int) -> None:
        body = b'{"reference_id":"%d-%d","amount":"0.000001","currency":"USD"}' % (caller, number)
        status = await connections[caller].post(path, body)
        if status != 201:
            raise BenchFailed(f"a debit was answered with {status}")

    try:
        return await from_callers(CONNECTIONS, SECONDS, debit_once)
    finally:
        for connection in connections:
            await connection.close()


async def _check(engine: AsyncEngine) -> None:
    """For every wallet, the entries add up to the balance, none is missing, and no reference occurs
    twice.
    """
    wrong = """
        SELECT count(*) FROM wallets w JOIN (
            SELECT organization_id, sum(amount_micros) AS micros, count(*) AS entries,
                   count(DISTINCT reference_id) AS once
            FROM ledger_entries GROUP BY organization_id
        ) e USING (organization_id)
        WHERE e.micros <> w.balance_micros OR e.entries <> w.entries OR e.once <> w.entries
    """
    async with engine.connect() as conn:
        await conn.execute(text("SET LOCAL statement_timeout = 0"))
        broken = (await conn.execute(text(wrong))).scalar_one()
    if broken:
        raise BenchFailed(f"{broken} wallets have a balance that differs from their entries")


async def _certified(engine: AsyncEngine) -> bool:
    return all(finding.holds for finding in await examine(engine))
