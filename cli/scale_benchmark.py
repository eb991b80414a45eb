"""`tollgate bench scale`: measures on a complete installation with one organization, then on a
PostgreSQL server of its own with many.
"""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import typer
import uvloop
from psycopg import sql
from rich.table import Table

from bench import at_rest, other_provider, scale
from bench.outcome import BenchFailed
from bench.scale import OfInstallation
from cli.bench_target import target_of
from cli.console import errors, output, write
from cli.dev import until_stopped
from cli.failures import CommandFailed
from cli.stack import check_settings, serve
from devservers import temporary_postgres
from devservers.postgres import Postgres
from runtime.database import create_engine
from runtime.migrations import migrate

MOST = 2.0


def measure(organizations: int, *, as_json: bool) -> None:
    check_settings()
    raise typer.Exit(uvloop.run(until_stopped(_run(organizations, as_json=as_json))))


async def _run(organizations: int, *, as_json: bool) -> int:
    try:
        of_installation = await _of_installation()
        report = await _among([organizations // 100, organizations // 10, organizations])
    except BenchFailed as problem:
        raise CommandFailed(str(problem)) from problem
    report = replace(report, of_installation=of_installation)
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    return 0 if report.certified.holds else 1


async def _among(sizes: Sequence[int]) -> scale.Report:
    with temporary_postgres.serve() as server:
        async with AsyncExitStack() as stack:
            engines = {}
            for size in sizes:
                engines[size] = create_engine(_database(server, f"scale_{size}"), pool_size=1)
                stack.push_async_callback(engines[size].dispose)
            return await scale.run(engines, _say)


async def _of_installation() -> OfInstallation:
    async with (
        serve(on_started=lambda part, seconds: _say(f"{part}: {seconds:.1f} s"), say=_say) as stack,
        target_of(stack) as (target, client),
    ):
        _say("an organization at rest")
        a_month = await at_rest.actions_in_a_month(target, client)
        _say(f"a suspension at Stripe, while {other_provider.HANGING} queries of PayPal hang")
        suspended = await other_provider.suspended_seconds(target)
        return OfInstallation(
            actions_per_idle_organization_month=a_month,
            other_provider_suspended_s=round(suspended, 2),
        )


def _say(line: str) -> None:
    errors.print(line, highlight=False)


def _database(server: Postgres, name: str) -> str:
    url = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(server.url(name))
    return server.url(name)


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
    if report.of_installation is not None:
        a_month = report.of_installation.actions_per_idle_organization_month
        row = ("Temporal's actions of an idle organization in a month", "", "", f"{a_month:.0f}")
        table.add_row(*row, "", "<= 20")
        suspended = f"{report.of_installation.other_provider_suspended_s:.2f} s"
        row = ("a suspension at Stripe, while PayPal hangs", "", "", suspended)
        table.add_row(*row, "", "< 5 s")
    seconds = f"{report.certified.cpu_seconds:.2f} s"
    table.add_row("certify --new, 10,000 entries, server's time", "", "", seconds, "", "< 2 s")
    table.add_row("certify", "", "", "holds" if report.certified.holds else "broken", "", "holds")
    return table
