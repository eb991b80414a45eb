"""`tollgate dev`: runs everything on this machine and prints how to reach it."""

import asyncio
import shlex
from collections.abc import Coroutine
from typing import Any

import typer
import uvloop
from rich.table import Table

from cli import keys
from cli.console import mark, output
from cli.failures import Status
from cli.stack import Stack, check_settings, serve
from cli.stop_signal import first_of
from db.api_keys import Scope
from runtime.processes import stop_requested


def dev() -> None:
    check_settings()
    raise typer.Exit(uvloop.run(until_stopped(_run())))


async def until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """Returns the exit status. SIGINT or SIGTERM cancels it, and it stops what it started; a second
    signal exits at once.
    """
    stop = stop_requested()
    task = asyncio.create_task(work)
    await first_of(task, stop)
    if not task.done():
        output.print("stopping ...")
        task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return Status.INTERRUPTED


async def stay(stack: Stack) -> None:
    """Keep everything running until Ctrl-C; raises StackFailed if a part ends on its own."""
    output.print("Everything keeps running; Ctrl-C stops it.", style="bold")
    try:
        await stack.children.watch()
    except asyncio.CancelledError:
        return


def started(what: str, seconds: float) -> None:
    output.print(f"  {mark(good=True)} {seconds:5.1f} s  {what}", highlight=False)


async def _run() -> int:
    output.print("All of Tollgate on this machine", style="bold")
    async with serve(on_started=started, say=output.print) as stack:
        await show_addresses(stack)
        await stay(stack)
    return 0


async def show_addresses(stack: Stack) -> None:
    secrets = {
        scope.word: await keys.make(stack.database_url, f"dev {scope.word}", scope)
        for scope in Scope
    }
    rows = {
        "API": stack.api_url,
        "API docs": stack.docs_url,
        "Temporal UI": stack.ui,
        "PayPal simulator": stack.paypal_url,
        "Stripe simulator": stack.stripe_url,
        "Twilio simulator": stack.twilio_url,
        "host application simulator": stack.receiver_url,
        "logs": str(stack.data_dir),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in (
        rows | {f"API key, {scope}": key for scope, key in secrets.items()}
    ).items():
        table.add_row(name, value)
    output.print()
    output.print(table, highlight=False)
    output.print("\nFor other commands, in another terminal:", highlight=False)
    for name, value in stack.environment.items():
        output.print(
            f"export {name}={shlex.quote(value)}", highlight=False, markup=False, soft_wrap=True
        )
    output.print()
