"""`tollgate bench events`: measures on a PostgreSQL server of its own, with a worker's deliveries and
a receiver as processes.
"""

import json
import tempfile
from pathlib import Path

import httpx
import typer
import uvloop
from rich.table import Table

from bench import telling
from bench.outcome import BenchFailed
from cli.children import Children
from cli.console import errors, output, write
from cli.failures import CommandFailed
from cli.stack import all_serve
from devservers import temporary_postgres
from devservers.ports import free_ports
from runtime.database import create_engine
from runtime.migrations import migrate


def measure(*, as_json: bool) -> None:
    with temporary_postgres.serve() as server, tempfile.TemporaryDirectory() as logs:
        migrate(server.url())
        report = uvloop.run(_measured(server.url(), Path(logs)))
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    raise typer.Exit(0 if report.holds else 1)


async def _measured(database_url: str, logs: Path) -> telling.Report:
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}/"
    children = Children(logs)
    engine = create_engine(database_url, pool_size=12)
    try:
        async with (
            children.run("receiver", "simulators.server", ["receiver", "--port", str(port)], {}),
            children.run("worker", "bench.telling_worker", [database_url], {}),
            httpx.AsyncClient(base_url=url, timeout=10) as receiver,
        ):
            await all_serve(children, [f"{url}_sim/received"])
            return await telling.run(engine, receiver, _say)
    except BenchFailed as problem:
        raise CommandFailed(f"{problem}\n{children.last_words()}") from problem
    finally:
        await engine.dispose()


def _table(report: telling.Report) -> Table:
    table = Table("what", "figure", "to reach", title="tollgate bench events", title_justify="left")
    rows = [
        (
            f"fact to first attempt, {telling.PER_SECOND} events a second, p50",
            f"{report.attempt_p50_ms:.0f} ms",
            "<= 100 ms",
        ),
        ("  p99", f"{report.attempt_p99_ms:.0f} ms", "<= 1,000 ms"),
        (
            f"  p99 while {telling.DEAD} of {telling.ENDPOINTS:,} endpoints are dead or hang",
            f"{report.with_dead_p99_ms:.0f} ms, {report.with_dead_p99_ratio:.2f} x",
            "<= 1.5 x",
        ),
        (f"a page of {telling.KEPT:,} events, p99", f"{report.page_p99_ms:.0f} ms", "<= 50 ms"),
        (f"lost of {report.events:,} events", str(report.lost), "0"),
        ("out of order", str(report.out_of_order), "0"),
        ("certify", "holds" if report.certified else "broken", "holds"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _say(line: str) -> None:
    errors.print(line, highlight=False)
