"""`tollgate reconcile`: compares the events that the providers list with those that were delivered,
now.
"""

import asyncio
from collections.abc import Sequence

import typer

from activities.inbox.event_backfill import Settled, Tally
from cli.console import errors, output, table
from cli.schema import AT_ONCE, configured_wholly, say
from domain.plain_text import one_line
from runtime.wiring import from_environment


def reconcile(settle: int) -> None:
    configured_wholly()
    tallies = asyncio.run(_compare(settle))
    shown = table("provider", "since", "listed", "missed", "duplicates", "out of order")
    for tally in tallies:
        figures = [
            str(each) for each in (tally.listed, tally.missed, tally.duplicates, tally.out_of_order)
        ]
        shown.add_row(tally.provider, tally.since.strftime("%Y-%m-%d %H:%M UTC"), *figures)
    output.print(shown)
    for tally in tallies:
        if tally.problem:
            errors.print(
                one_line(f"{tally.provider} could not be queried: {tally.problem}"),
                style="red",
                highlight=False,
            )
    if any(tally.problem for tally in tallies):
        raise typer.Exit(1)


async def _compare(settle: int) -> Sequence[Tally]:
    async with from_environment("tollgate-reconcile", patience=AT_ONCE, say=say) as services:
        return [
            await services.event_backfill.compare(provider, Settled(seconds=settle))
            for provider in services.providers
        ]
