"""`tollgate bench scale`: measures on a PostgreSQL server of its own; nothing else is started."""

import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import typer
import uvloop
from psycopg import sql
from rich.table import Table

from bench import scale
from bench.outcome import BenchFailed
from cli.console import errors, output, write
from cli.failures import CommandFailed
from devservers import postgres
from devservers.postgres import Postgres
from runtime.database import create_engine
from runtime.migrations import migrate

MOST = 2.0


def measure(organizations: int, *, as_json: bool) -> None:
    sizes = [organizations // 100, organizations // 10, organizations]
    with tempfile.TemporaryDirectory(prefix="tollgate-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # the server does not run as root
        with postgres.serve(place) as server:
            urls = {size: _database(server, f"scale_{size}") for size in sizes}
            try:
                report = uvloop.run(_measured(urls))
            except BenchFailed as problem:
                raise CommandFailed(str(problem)) from problem
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    raise typer.Exit(0 if report.certified.holds else 1)


def _database(server: Postgres, name: str) -> str:
    url = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(server.url(name))
    return server.url(name)


async def _measured(urls: dict[int, str]) -> scale.Report:
    async with AsyncExitStack() as stack:
        engines = {size: create_engine(url, pool_size=1) for size, url in urls.items()}
        for engine in engines.values():
            stack.push_async_callback(engine.dispose)
        return await scale.run(engines, lambda line: errors.print(line, highlight=False))


def _table(report: scale.Report) -> Table:
    table = Table(
        "server's time for a call, \u00b5s",
        *(f"{number:,}" for number in report.organizations),
        "ratio",
        "to reach",
        title="tollgate bench scale",
        title_justify="left",
    )
    for name, costs in report.costs.items():
        figures = (f"{cost:,.0f}" for cost in costs)
        table.add_row(name, *figures, f"{report.ratios[name]:.2f}", f"<= {MOST:.0f}")
    seconds = f"{report.certified.seconds:.2f} s"
    table.add_row("certify --new, 10,000 entries", "", "", seconds, "", "< 2 s")
    table.add_row("certify", "", "", "holds" if report.certified.holds else "broken", "", "holds")
    return table
