"""`tollgate bench pace`: measures on a PostgreSQL server of its own; nothing else is started."""

import json

import typer
import uvloop
from rich.table import Table

from bench import pace
from cli.console import output, write
from devservers import temporary_postgres
from runtime.database import create_engine
from runtime.migrations import migrate


def measure(*, as_json: bool) -> None:
    with temporary_postgres.serve() as server:
        migrate(server.url())
        report = uvloop.run(_measured(server.url()))
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    raise typer.Exit(0)


async def _measured(database_url: str) -> pace.Report:
    engine = create_engine(database_url, pool_size=8)
    try:
        return await pace.run(engine)
    finally:
        await engine.dispose()


def _table(report: pace.Report) -> Table:
    table = Table("turns a second", "figure", "p99", "to reach", title="tollgate bench pace")
    for label, measured, reach in (
        ("one by one", report.one_by_one, ""),
        (f"together, {pace.SENDERS:,} senders", report.together, "5,000"),
    ):
        table.add_row(label, f"{measured.per_second:,.0f}", f"{measured.p99_ms:.0f} ms", reach)
    return table
