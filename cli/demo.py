"""`tollgate demo`: plays and checks the whole loop on this machine; exit status 1 if a check fails."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import typer
import uvloop
from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig

from cli import certification, keys
from cli.actors import Company, HostApplication, Provider, Twilio
from cli.children import StackFailed
from cli.console import errors, output
from cli.dev import show_addresses, started, stay, until_stopped
from cli.failures import CommandFailed
from cli.leak_story import LeakStory
from cli.narration import Differs, Teller
from cli.second_story import SecondStory
from cli.stack import Stack, check_settings, serve
from cli.story import Story
from db.api_keys import Scope
from providers.http import in_words
from runtime.client import connect


def demo(*, keep: bool) -> None:
    check_settings()
    raise typer.Exit(uvloop.run(until_stopped(_run(keep=keep))))


async def _run(*, keep: bool) -> int:
    began = time.monotonic()
    output.print(
        "Tollgate: no message leaves without payment. One organization's story.", style="bold"
    )
    output.print("\nStarting everything on this machine", style="bold")
    async with serve(on_started=started, say=output.print) as stack:
        failure = await _failure(stack)
        if failure is None:
            output.print(
                f"\nAll checks passed in {time.monotonic() - began:.0f} s.", highlight=False
            )
        else:
            errors.print(
                f"\n{failure}", style="bold red", markup=False, highlight=False, soft_wrap=True
            )
        if keep:
            await show_addresses(stack)
            await stay(stack)
        elif failure is None:
            _say_where(stack)
        if failure is not None:
            raise CommandFailed(
                f"the logs are in {stack.data_dir}; they end with\n{stack.children.last_words()}"
            )
    return 0


async def _failure(stack: Stack) -> str | None:
    """Play the story, then prove the guarantees; returns what failed, in words."""
    teller = Teller(output)
    try:
        async with _stories(stack, teller) as (story, second, temporal):
            await stack.children.alive_during(_play(story, second, temporal))
    except (Differs, StackFailed) as problem:
        return str(problem)
    except httpx.HTTPError as problem:
        return f"a request had no answer: {in_words(problem)}"
    teller.chapter("tollgate certify proves it on the database")
    findings = await certification.examine(stack.database_url)
    certification.show(findings, output)
    return None if certification.holds(findings) else "a guarantee does not hold"


async def _play(story: Story, second: SecondStory, temporal: Client) -> None:
    await story.onboard()
    await story.lapse()
    await story.enforce()
    await story.repeat()
    await story.recover()
    await second.play()
    await LeakStory(
        tell=second.tell,
        company=second.company,
        twilio=second.twilio,
        temporal=temporal,
        id=second.id,
        account=second.account,
    ).play()


@asynccontextmanager
async def _stories(
    stack: Stack, teller: Teller
) -> AsyncIterator[tuple[Story, SecondStory, Client]]:
    key = await keys.make(stack.database_url, "demo", Scope.OPERATOR)
    async with AsyncExitStack() as clients:
        to_company, to_paypal, to_stripe, to_twilio, to_host = [
            await clients.enter_async_context(
                httpx.AsyncClient(base_url=url, headers=headers, timeout=30)
            )
            for url, headers in (
                (stack.api_url, {"Authorization": f"Bearer {key}"}),
                (stack.paypal_url, {}),
                (stack.stripe_url, {}),
                (stack.twilio_url, {}),
                (stack.receiver_url, {}),
            )
        ]
        temporal = await connect(
            ClientConnectConfig(
                target_host=stack.temporal_address,
                namespace=stack.environment["TEMPORAL_NAMESPACE"],
            )
        )
        company, twilio = Company(to_company), Twilio(to_twilio)
        yield (
            Story(
                tell=teller,
                company=company,
                paypal=Provider(to_paypal),
                twilio=twilio,
                host=HostApplication(to_host),
            ),
            SecondStory(tell=teller, company=company, stripe=Provider(to_stripe), twilio=twilio),
            temporal,
        )


def _say_where(stack: Stack) -> None:
    output.print(
        f"While it ran, the Temporal UI was at {stack.ui} and the API's docs at {stack.docs_url};\n"
        "`make demo KEEP=1` keeps them running.",
        highlight=False,
    )
