"""`tollgate recover`: books what happened after the state that a database was restored to, and opens
the fence again.
"""

import asyncio
from datetime import UTC, datetime

import typer

from activities.audit.recovery import Summary
from cli import certification
from cli.console import errors, output
from cli.failures import CommandFailed, Misused
from cli.reasons import user
from cli.schema import AT_ONCE, configured_wholly, say
from domain.plain_text import one_line
from runtime.database_watch import open_fence
from runtime.wiring import from_environment


def recover(since: datetime, *, by: str, yes: bool) -> None:
    if since > datetime.now(UTC):
        raise Misused("--since: is in the future")
    configured_wholly()
    if not yes:
        typer.confirm(
            f"Stop all sending, and book what happened since {since:%Y-%m-%d %H:%M:%S} UTC?",
            abort=True,
        )
    summary = asyncio.run(_recover(since, by or user()))
    certification.show(summary.findings, output)
    for problem in summary.problems:
        errors.print(one_line(f"not done: {problem}"), style="red")
    if summary.unmatched:
        errors.print(
            f"{summary.unmatched} messages at Twilio are unmatched: see `tollgate unmatched list`",
            style="red",
        )
    if not summary.complete:
        output.print("the fence stays shut: resolve this, and repeat the command")
        raise typer.Exit(1)
    output.print("done: `tollgate recover --open --reason ...` lets organizations send again")


def open_again(*, reason: str, by: str) -> None:
    if not reason.strip():
        raise Misused("--open needs --reason")
    configured_wholly()
    asyncio.run(_open(reason.strip(), by or user()))
    output.print("open: organizations may send; resume the parked campaigns one by one")


async def _recover(since: datetime, by: str) -> Summary:
    async with from_environment("tollgate-recover", patience=AT_ONCE, say=say) as services:
        return await services.recovering(output.print).run(since, by=by)


async def _open(reason: str, by: str) -> None:
    async with from_environment("tollgate-recover", patience=AT_ONCE, say=say) as services:
        if not await open_fence(services.engine, services.client, by=by, because=reason):
            raise CommandFailed("the fence is not shut")
