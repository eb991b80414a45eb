"""`tollgate bench bill`: measures on its own complete installation."""

import json
from contextlib import AsyncExitStack

import typer
import uvloop
from rich.table import Table

from bench.bill import run as bill
from bench.bill.run import MOST_SECONDS, Replace, Report, Size
from bench.outcome import BenchFailed
from cli.bench_target import target_of
from cli.console import errors, output, write
from cli.dev import until_stopped
from cli.failures import CommandFailed
from cli.stack import Stack, check_settings, serve
from domain.money import to_decimal_string

QUEUE = "bench-bill"


def measure(organizations: int, days: int, *, as_json: bool) -> None:
    check_settings()
    size = Size(organizations=organizations, days=days, triggers=min(50, organizations // 2))
    raise typer.Exit(uvloop.run(until_stopped(_run(size, as_json=as_json))))


async def _run(size: Size, *, as_json: bool) -> int:
    async with (
        serve(on_started=lambda part, seconds: _say(f"{part}: {seconds:.1f} s"), say=_say) as stack,
        AsyncExitStack() as workers,
        target_of(stack) as (target, client),
    ):
        replace = _replace(stack, workers)
        await replace.reader()
        try:
            report = await bill.run(target, client, QUEUE, size, replace, _say)
        except BenchFailed as problem:
            raise CommandFailed(str(problem)) from problem
    output.print(_table(report))
    if as_json:
        write(json.dumps(report.as_json()))
    return 0 if report.holds else 1


def _replace(stack: Stack, workers: AsyncExitStack) -> Replace:
    environment = {**stack.environment, "TOLLGATE_LOG_LEVEL": "warning"}

    async def replace(name: str, module: str, arguments: list[str]) -> None:
        before = stack.children.running.get(name)
        if before is not None:
            before.kill()
        await workers.enter_async_context(stack.children.run(name, module, arguments, environment))

    return Replace(
        reader=lambda: replace("bill-worker", "bench.bill.worker", [QUEUE]),
        tollgates=lambda: replace("worker", "cli.main", ["worker"]),
    )


def _table(report: Report) -> Table:
    table = Table("what", "figure", "to reach", title="tollgate bench bill", title_justify="left")
    compared = report.compared
    rows = [
        (
            f"{report.size.organizations:,} organizations, {report.size.days} days: Twilio's books",
            f"{to_decimal_string(compared.books)} USD",
            "",
        ),
        ("  paid", to_decimal_string(compared.paid), ""),
        ("  absorbed", to_decimal_string(compared.absorbed), ""),
        ("  unpaid", to_decimal_string(compared.unpaid), ""),
        ("  unexplained", to_decimal_string(compared.unexplained), "0.00"),
        ("usage categories", str(compared.categories), ">= 12"),
        (
            "corrections, workers killed",
            f"{report.corrected}, {report.killed + report.own.workers_killed}",
            "",
        ),
        ("messages through Tollgate, with lost answers", str(report.own.sent), ""),
        (
            "  a campaign's pace with the reading, to that without",
            f"{report.own.ratio:.3f}",
            ">= 0.95",
        ),
        ("messages past Tollgate", str(report.foreign_sent), ""),
        ("  found", str(report.foreign_found), "all"),
        (
            f"{report.size.triggers} usage triggers to suspended, p99",
            f"{report.suspended_p99:.1f} s",
            f"<= {MOST_SECONDS} s",
        ),
        ("requests for a reading", f"{report.calls / max(1, report.readings):.2f}", ""),
        (
            "requests a minute among 100,000, by the policy",
            f"{report.demand.per_minute:.0f}",
            "<= 300",
        ),
        ("  a change is read after, p99", str(report.demand.seen_after_p99), ""),
        ("certify", "holds" if report.certified else "broken", "holds"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _say(line: str) -> None:
    errors.print(line, highlight=False)
