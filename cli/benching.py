"""`tollgate bench`: measures on a whole installation of its own, and fails when it finds a guarantee broken."""

import json
from typing import Annotated, Any

import typer
import uvloop
from rich.table import Table
from temporalio.envconfig import ClientConnectConfig

from bench import lifecycle as bench_lifecycle
from bench.lifecycle import Report
from bench.load import BenchFailed, Target
from cli import keys
from cli.console import errors, output
from cli.dev import until_stopped
from cli.failures import CommandFailed
from cli.stack import Stack, serve
from db.api_keys import Scope
from providers.http import fast_client
from runtime.client import connect
from runtime.database import create_engine

BARE_QUEUE = "bench-bare"
TIMEOUT = 60.0
bench = typer.Typer(help="Measure, side by side with a yardstick, in one run.", no_args_is_help=True)


@bench.callback()
def choose() -> None:
    """Each benchmark starts servers of its own and leaves nothing behind."""


@bench.command()
def lifecycle(
    organizations: Annotated[int, typer.Option(min=20, help="How many are suspended at once.")] = 1000,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
) -> None:
    """Webhooks answered, their steps done, and a storm of suspensions, beside a workflow of four empty activities."""
    raise typer.Exit(uvloop.run(until_stopped(_lifecycle(organizations, as_json=as_json))))


async def _lifecycle(organizations: int, *, as_json: bool) -> int:
    def say(line: str) -> None:
        errors.print(line, highlight=False)

    async with serve(told=lambda what, seconds: say(f"{what}: {seconds:.1f} s"), say=say) as stack:
        environment = {**stack.environment, "TOLLGATE_LOG_LEVEL": "warning"}
        async with stack.children.run("bare-worker", "bench.bare_worker", [BARE_QUEUE], environment):
            try:
                report = await _measure(stack, organizations, say)
            except BenchFailed as problem:
                raise CommandFailed(str(problem)) from problem
    output.print(_table(report))
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    return 0


async def _measure(stack: Stack, organizations: int, say: Any) -> Report:
    key = await keys.make(stack.database_url, "bench", Scope.OPERATOR)
    client = await connect(
        ClientConnectConfig(target_host=stack.temporal_address, namespace=stack.environment["TEMPORAL_NAMESPACE"])
    )
    engine = create_engine(stack.database_url, pool_size=4)
    try:
        async with (
            fast_client(stack.api_url, read=TIMEOUT) as api,
            fast_client(stack.paypal_url, read=TIMEOUT) as paypal,
            fast_client(stack.twilio_url, read=TIMEOUT) as twilio,
        ):
            api.headers["authorization"] = f"Bearer {key}"
            target = Target(api=api, paypal=paypal, twilio=twilio, engine=engine)
            return await bench_lifecycle.run(target, client, BARE_QUEUE, organizations, say)
    finally:
        await engine.dispose()


def _table(report: Report) -> Table:
    table = Table("what", "figure", "to reach", title="tollgate bench lifecycle", title_justify="left")
    steps = report.steps_p50 / report.bare_p50
    storm = report.storm_per_second / report.bare_per_second
    rows = [
        ("webhook answered, p50", f"{report.webhook_p50:.1f} ms", "15 ms"),
        ("webhook answered, p99", f"{report.webhook_p99:.1f} ms", "60 ms"),
        ("webhook to all steps done, p50", f"{report.steps_p50:.1f} ms", ""),
        ("four empty activities, p50", f"{report.bare_p50:.1f} ms", ""),
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
