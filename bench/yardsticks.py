"""The baselines of the wallet benchmark: pgbench with our own statements one by one, and simple
Python solutions.

The Python baselines have their own minimal tables.
"""

import re
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.outcome import BenchFailed, Measured, from_callers
from db.wallet import statements
from devservers.postgres import binary

metadata = MetaData()
plain_wallets = Table(
    "bench_wallets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("balance_micros", BigInteger),
)
plain_entries = Table(
    "bench_entries",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("wallet_id", Text, nullable=False),
    Column("reference_id", Text, nullable=False),
    Column("amount_micros", BigInteger, nullable=False),
    UniqueConstraint("wallet_id", "reference_id"),
)
SERIALIZATION_FAILURE = "40001"
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([\d.]+) ms", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PgBench:
    """Transactions a second, and milliseconds for one."""

    per_second: float
    average_ms: float


def pgbench(
    url: str, wallet: str, *, wallets_in_all: int = 1, clients: int, seconds: int
) -> PgBench:
    """Our own statements, one debit per transaction. For many wallets, `wallet` is the prefix
    before a number from 1.
    """
    chosen = f"'{wallet}'::text" if wallets_in_all == 1 else f"'{wallet}' || (:number)::text"
    with tempfile.TemporaryDirectory(prefix="tollgate-pgbench-") as directory:
        script = Path(directory) / "debit.sql"
        script.write_text(_script(chosen, wallets_in_all))
        server = make_url(url)
        command = [
            str(binary("pgbench")),
            "--no-vacuum",
            "--protocol=prepared",
            "-f",
            str(script),
            "-c",
            str(clients),
        ]
        command += [
            "-j",
            "2",
            "-T",
            str(seconds),
            "-h",
            str(server.query["host"]),
            "-U",
            str(server.username),
        ]
        command.append(str(server.database))
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    tps, latency = _TPS.search(ended.stdout), _LATENCY.search(ended.stdout)
    if ended.returncode or tps is None or latency is None:
        raise BenchFailed(f"pgbench: {ended.stderr.strip()[-300:]}")
    return PgBench(float(tps[1]), float(latency[1]))


def _script(chosen: str, wallets_in_all: int) -> str:
    reference = "(:reference)::text"
    balance, seq = "(:w_balance_micros)::bigint - 1", "(:w_entries)::bigint + 1"
    entry = [chosen, seq, "'debit'", "(-1)::bigint", balance, reference, "NULL::text", "''"]
    return "\n".join(
        [
            f"\\set number random(1, {wallets_in_all})",
            "\\set reference random(1, 9000000000000000000)",
            "BEGIN;",
            f"{statements.BY_INDEX.strip()};",
            f"{_filled(statements.LOCK, [chosen])} \\gset w_",
            f"{_filled(statements.KNOWN, [chosen, reference, None, None])};",
            f"{_filled(statements.WRITE, [*entry, chosen, balance, seq])};",
            "COMMIT;",
        ]
    )


def _filled(statement: str, values: list[str | None]) -> str:
    """The statement with arrays of one element, or of none."""
    for value in values:
        statement = statement.replace("%s", "'{}'" if value is None else f"ARRAY[{value}]", 1)
    return " ".join(statement.split())


async def serializable(engine: AsyncEngine, *, callers: int, seconds: float) -> Measured:
    """A transaction of isolation level SERIALIZABLE for each debit, repeated until it commits."""
    isolated = engine.execution_options(isolation_level="SERIALIZABLE")

    async def debit_once(reference: str) -> None:
        while True:
            try:
                async with isolated.begin() as conn:
                    await _debit(conn, reference, lock=False)
            except DBAPIError as problem:
                if getattr(problem.orig, "sqlstate", None) != SERIALIZATION_FAILURE:
                    raise
            else:
                return

    return await _of_a_plain_wallet(engine, debit_once, callers, seconds)


async def row_lock(engine: AsyncEngine, *, callers: int, seconds: float) -> Measured:
    """A transaction with the wallet's row locked for each debit."""

    async def debit_once(reference: str) -> None:
        async with engine.begin() as conn:
            await _debit(conn, reference, lock=True)

    return await _of_a_plain_wallet(engine, debit_once, callers, seconds)


async def _of_a_plain_wallet(
    engine: AsyncEngine, debit_once: Callable[[str], Awaitable[None]], callers: int, seconds: float
) -> Measured:
    async with engine.begin() as conn:
        await conn.run_sync(metadata.drop_all)
        await conn.run_sync(metadata.create_all)
        await conn.execute(insert(plain_wallets).values(id="plain", balance_micros=10**12))
    return await from_callers(
        callers, seconds, lambda caller, number: debit_once(f"{caller}-{number}")
    )


async def _debit(conn: AsyncConnection, reference: str, *, lock: bool) -> None:
    query = select(plain_wallets.c.balance_micros).where(plain_wallets.c.id == "plain")
    balance = (await conn.execute(query.with_for_update() if lock else query)).scalar_one()
    existing = select(plain_entries.c.id).where(
        plain_entries.c.wallet_id == "plain", plain_entries.c.reference_id == reference
    )
    if (await conn.execute(existing)).one_or_none() is not None:
        return
    if balance < 1:
        raise BenchFailed("the baseline's wallet is empty")
    await conn.execute(
        insert(plain_entries).values(wallet_id="plain", reference_id=reference, amount_micros=-1)
    )
    await conn.execute(
        update(plain_wallets)
        .where(plain_wallets.c.id == "plain")
        .values(balance_micros=balance - 1)
    )
