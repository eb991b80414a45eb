"""The benchmarks' commands with their options, like `cli.commands`."""

from pathlib import Path
from typing import Annotated

import typer

from domain.billing.subscription import Provider

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]

bench = typer.Typer(
    help="Measure, and compare with a baseline in the same run.", no_args_is_help=True
)


@bench.callback()
def choose() -> None:
    """Each benchmark starts its own servers and leaves nothing behind."""


@bench.command("lifecycle")
def bench_lifecycle(
    organizations: Annotated[
        int, typer.Option(min=20, help="The number of organizations to suspend at the same time.")
    ] = 1000,
    provider: Annotated[
        Provider, typer.Option(help="The provider whose webhooks are measured.")
    ] = Provider.PAYPAL,
    *,
    as_json: Json = False,
) -> None:
    """Measure webhook responses, the steps after them, and a burst of suspensions, compared with a
    workflow of four empty activities.
    """
    from cli.benchmarks import lifecycle

    lifecycle(organizations, provider, as_json=as_json)


@bench.command("wallet")
def bench_wallet(
    *,
    as_json: Json = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write bench-wallet.svg and .png to this directory.")
    ] = None,
) -> None:
    """Measure debits a second, of one wallet and of many, compared with pgbench running the same
    statements and with plain SQLAlchemy.
    """
    from cli.benchmarks import wallet

    wallet(plot, as_json=as_json)


@bench.command("campaign")
def bench_campaign(
    messages: Annotated[
        int, typer.Option(min=1000, help="The number of messages of both organizations together.")
    ] = 20_000,
    *,
    as_json: Json = False,
) -> None:
    """Measure messages a second with two status callbacks each, events per message, and how soon a
    suspension stops a campaign.
    """
    from cli.benchmarks import campaign

    campaign(messages, as_json=as_json)


@bench.command("pace")
def bench_pace(*, as_json: Json = False) -> None:
    """Measure turns a second of a thousand senders at the account's pace, compared with a
    transaction for each turn.
    """
    from cli.pace_benchmark import measure

    measure(as_json=as_json)


@bench.command("scale")
def bench_scale(
    organizations: Annotated[
        int, typer.Option(min=10_000, help="The largest number of organizations.")
    ] = 100_000,
    *,
    as_json: Json = False,
) -> None:
    """Measure what calls cost the PostgreSQL server among many organizations, compared with a
    hundredth of them, and `certify --new` of 10,000 new entries.
    """
    from cli.scale_benchmark import measure

    measure(organizations, as_json=as_json)


@bench.command("bill")
def bench_bill(
    organizations: Annotated[int, typer.Option(min=10, help="The number of organizations.")] = 200,
    days: Annotated[int, typer.Option(min=1, max=35, help="The number of simulated days.")] = 30,
    *,
    as_json: Json = False,
) -> None:
    """Compare Twilio's books of simulated days with the carrier's bill, and measure how soon a usage
    trigger suspends, and how many requests the reading takes among 100,000 subaccounts.
    """
    from cli.bill_benchmark import measure

    measure(organizations, days, as_json=as_json)


@bench.command("events")
def bench_events(*, as_json: Json = False) -> None:
    """Measure how soon an event is attempted after its fact, also while other endpoints are dead,
    and a page of a million events.
    """
    from cli.telling_benchmark import measure

    measure(as_json=as_json)
