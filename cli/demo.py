"""`tollgate demo`: the whole loop on this machine, played and checked; exit status 1 if anything differs."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import httpx
import typer
import uvloop

from cli import certifying, keys
from cli.actors import Company, PayPal, Twilio
from cli.console import errors, output
from cli.dev import show_addresses, started, stay, until_stopped
from cli.stack import Stack, serve
from cli.story import Story
from cli.telling import Differs, Teller
from db.api_keys import Scope


def demo(
    *, keep: Annotated[bool, typer.Option("--keep", help="Leave everything up afterwards, until Ctrl-C.")] = False
) -> None:
    """Start everything on this machine, play one organization's story over HTTP, and prove the guarantees."""
    raise typer.Exit(uvloop.run(until_stopped(_run(keep=keep))))


async def _run(*, keep: bool) -> int:
    began = time.monotonic()
    output.print("Tollgate: no message leaves without payment. One organization's story.", style="bold")
    output.print("\nStarting everything on this machine", style="bold")
    async with serve(told=started, say=output.print) as stack:
        status = await _play(stack)
        output.print(f"\n{'It all held' if status == 0 else 'It did not hold'}, in {time.monotonic() - began:.0f} s.")
        if keep:
            await show_addresses(stack)
            await stay(stack)
        else:
            _say_where(stack)
        return status


async def _play(stack: Stack) -> int:
    """The story, then the proof; 0 only if every expectation held and every guarantee does."""
    teller = Teller(output)
    try:
        async with _story(stack, teller) as story:
            await story.onboard()
            await story.lapse()
            await story.enforce()
            await story.repeat()
            await story.recover()
    except (Differs, httpx.HTTPError) as problem:
        errors.print(f"\n{problem or type(problem).__name__}", style="bold red", markup=False, soft_wrap=True)
        errors.print(f"logs: {stack.data_dir}\n{stack.children.last_words()}", markup=False, soft_wrap=True)
        return 1
    teller.chapter("tollgate certify proves it on the database")
    findings = await certifying.examine(stack.database_url)
    certifying.show(findings, output)
    return 0 if certifying.holds(findings) else 1


@asynccontextmanager
async def _story(stack: Stack, teller: Teller) -> AsyncIterator[Story]:
    key = await keys.make(stack.database_url, "demo", Scope.OPERATOR)
    async with AsyncExitStack() as clients:
        company, paypal, twilio = [
            await clients.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=30))
            for url, headers in (
                (stack.api_url, {"Authorization": f"Bearer {key}"}),
                (stack.paypal_url, {}),
                (stack.twilio_url, {}),
            )
        ]
        yield Story(tell=teller, company=Company(company), paypal=PayPal(paypal), twilio=Twilio(twilio))


def _say_where(stack: Stack) -> None:
    ui = stack.temporal_ui_url or f"Temporal at {stack.temporal_address}"
    output.print(
        f"While it ran, the Temporal UI was at {ui} and the API's docs at {stack.docs_url};\n"
        "`make demo KEEP=1` leaves them up to look at.",
        highlight=False,
    )
