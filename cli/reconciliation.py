"""`tollgate reconcile`: what the providers list as having happened, against what was delivered,
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
    for one in tallies:
        figures = [str(each) for each in (one.listed, one.missed, one.duplicates, one.out_of_order)]
        shown.add_row(one.provider, one.since.strftime("%Y-%m-%d %H:%M UTC"), *figures)
    output.print(shown)
    for one in tallies:
        if one.problem:
            errors.print(
                one_line(f"{one.provider} could not be asked: {one.problem}"),
                style="red",
                highlight=False,
            )
    if any(one.problem for one in tallies):
        raise typer.Exit(1)


async def _compare(settle: int) -> Sequence[Tally]:
    async with from_environment("tollgate-reconcile", patience=AT_ONCE, say=say) as services:
        return [
            await services.listing.compare(one, Settled(seconds=settle))
            for one in services.providers
        ]
