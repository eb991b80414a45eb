"""`tollgate bench`: measures on its own complete installation, and fails if a guarantee is broken."""

import json
from datetime import UTC, datetime
from pathlib import Path

import typer
import uvloop
from rich.table import Table

from bench import campaign as bench_campaign
from bench import lifecycle as bench_lifecycle
from bench import wallet as bench_wallet
from bench.lifecycle import Report
from bench.outcome import BenchFailed
from cli import keys, wallet_figures
from cli.bench_target import target_of
from cli.console import errors, output, write
from cli.dev import until_stopped
from cli.failures import CommandFailed
from cli.simulated import HOST
from cli.stack import Stack, all_serve, check_settings, serve
from db.api_keys import Scope
from devservers.ports import free_ports
from domain.billing.subscription import Provider
from runtime.database import create_engine

BARE_QUEUE = "bench-bare"


def lifecycle(organizations: int, provider: Provider, *, as_json: bool) -> None:
    check_settings()
    raise typer.Exit(
        uvloop.run(until_stopped(_lifecycle(organizations, provider, as_json=as_json)))
    )


def wallet(plot: Path | None, *, as_json: bool) -> None:
    check_settings()
    raise typer.Exit(uvloop.run(until_stopped(_wallet(plot, as_json=as_json))))


def campaign(messages: int, *, as_json: bool) -> None:
    check_settings()
    raise typer.Exit(uvloop.run(until_stopped(_campaign(messages, as_json=as_json))))


async def _campaign(messages: int, *, as_json: bool) -> int:
    async with serve(
        on_started=lambda part, seconds: _say(f"{part}: {seconds:.1f} s"), say=_say
    ) as stack:
        try:
            async with target_of(stack) as (target, client):
                worker = stack.children.running["worker"].pid
                report = await bench_campaign.run(target, client, worker, messages, _say)
        except BenchFailed as problem:
            raise CommandFailed(str(problem)) from problem
    output.print(_campaign_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    return 0


def _campaign_table(report: bench_campaign.Report) -> Table:
    table = Table(
        "what", "figure", "to reach", title="tollgate bench campaign", title_justify="left"
    )
    rows = [
        (
            f"{report.messages:,} messages, two callbacks each",
            f"{report.messages_per_second:,.0f}/s",
            "",
        ),
        ("posts of the bare client", f"{report.bare_posts_per_second:,.0f}/s", ""),
        (
            "  ratio",
            f"{report.messages_per_second / report.bare_posts_per_second:.2f}",
            ">= 0.4",
        ),
        ("events of history per message", f"{report.events_per_message:.3f}", "<= 0.1"),
        (
            "suspension's answer to the last message",
            f"{report.last_accept_after_answer:+.3f} s",
            "<= 1 s",
        ),
        ("debits after the answer", str(report.debits_after_answer), "0"),
        ("accepted twice", str(report.accepted_twice), "0"),
        ("the worker's memory", f"{report.worker_rss_mb:.0f} MB", "<= 300 MB"),
        ("certify", "holds" if report.certified else "broken", "holds"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


async def _wallet(plot: Path | None, *, as_json: bool) -> int:
    async with serve(
        on_started=lambda part, seconds: _say(f"{part}: {seconds:.1f} s"), say=_say
    ) as stack:
        key = await keys.make(stack.database_url, "bench", Scope.OPERATOR)
        engine = create_engine(stack.database_url, pool_size=8)
        crowded = create_engine(stack.database_url, pool_size=100)
        [port] = free_ports(1)
        try:
            target = bench_wallet.Target(
                engine=engine,
                crowded=crowded,
                database_url=stack.database_url,
                api_url=stack.api_url,
                empty_route_url=f"http://{HOST}:{port}",
                key=key,
            )
            async with stack.children.run("empty-route", "bench.empty_route", [str(port)], {}):
                await all_serve(stack.children, [f"{target.empty_route_url}/health/ready"])
                report = await bench_wallet.run(target, _say)
        except BenchFailed as problem:
            raise CommandFailed(str(problem)) from problem
        finally:
            await engine.dispose()
            await crowded.dispose()
    output.print(wallet_figures.table(report))
    if plot is not None:
        _draw(report, plot)
    if as_json:
        write(json.dumps(report.as_json()))
    return 0 if report.certified else 1


def _draw(report: bench_wallet.Report, directory: Path) -> None:
    try:
        from bench.picture import draw  # noqa: PLC0415 - matplotlib is not needed to measure

        written = draw(report, directory, datetime.now(UTC).date())
    except ImportError as problem:
        raise CommandFailed("to draw the chart, install tollgate[plot]") from problem
    _say(f"wrote {', '.join(str(path) for path in written)}")


def _say(line: str) -> None:
    errors.print(line, highlight=False)


async def _lifecycle(organizations: int, provider: Provider, *, as_json: bool) -> int:
    async with serve(
        on_started=lambda part, seconds: _say(f"{part}: {seconds:.1f} s"), say=_say
    ) as stack:
        environment = {**stack.environment, "TOLLGATE_LOG_LEVEL": "warning"}
        async with stack.children.run(
            "bare-worker", "bench.bare_worker", [BARE_QUEUE], environment
        ):
            try:
                report = await _measure(stack, organizations, provider)
            except BenchFailed as problem:
                raise CommandFailed(str(problem)) from problem
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    return 0


async def _measure(stack: Stack, organizations: int, provider: Provider) -> Report:
    async with target_of(stack) as (target, client):
        return await bench_lifecycle.run(target, client, BARE_QUEUE, organizations, provider, _say)


def _table(report: Report) -> Table:
    table = Table(
        "what", "figure", "to reach", title="tollgate bench lifecycle", title_justify="left"
    )
    steps = report.steps_p50 / report.bare_p50
    storm = report.storm_per_second / report.bare_per_second
    rows = [
        ("four empty activities, p50", f"{report.bare_p50:.1f} ms", ""),
        ("webhook answered, p50", f"{report.webhook_p50:.1f} ms", ""),
        ("  ratio", f"{report.webhook_p50 / report.bare_p50:.2f}", "<= 0.22"),
        ("webhook answered, p99", f"{report.webhook_p99:.1f} ms", ""),
        ("  ratio", f"{report.webhook_p99 / report.bare_p50:.2f}", "<= 1"),
        ("webhook to all steps done, p50", f"{report.steps_p50:.1f} ms", ""),
        ("  ratio", f"{steps:.2f}", "<= 2"),
        (f"storm of {report.organizations}", f"{report.storm_per_second:.1f}/s", ""),
        ("four empty activities", f"{report.bare_per_second:.1f}/s", ""),
        ("  ratio", f"{storm:.2f}", ">= 0.7"),
        ("debits after the answer", str(report.debits_after_answer), "0"),
        ("certify", "holds" if report.certified else "broken", "holds"),
    ]
    for row in rows:
        table.add_row(*row)
    return table
