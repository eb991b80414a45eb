"""Every command with its options and help, without its implementation.

A command's own module is imported when the command runs, so that help, completion and a mistyped
option are answered quickly.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli import operator_commands, question_commands
from cli.alert_commands import alerts
from cli.bench_commands import Json, bench
from cli.bulk_commands import bulk
from cli.carrier_commands import bill, carrier
from cli.event_commands import events
from cli.notify_commands import notify
from cli.operator_commands import OrganizationId
from cli.webhook_commands import webhooks
from domain.billing.subscription import Provider

app = typer.Typer(
    name="tollgate", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


def show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tollgate {version('tollgate')}")
        raise typer.Exit


@app.callback()
def tollgate(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """No message leaves without payment."""


@app.command()
def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep everything running afterwards, until Ctrl-C.")
    ] = False,
) -> None:
    """Start everything on this machine, play the story of two organizations over HTTP, and prove
    the guarantees.
    """
    from cli.demo import demo as run

    run(keep=keep)


@app.command()
def dev() -> None:
    """Run servers, simulators, API and worker until Ctrl-C; print their addresses and an API key of
    each scope.
    """
    from cli.dev import dev as run

    run()


@app.command()
def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65_535)] = 8000,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C, then finish the requests under way and exit."""
    from cli.api_process import api as run

    run(host, port)


@app.command()
def worker(
    queues: Annotated[
        str, typer.Option(help="Which queues to poll, separated by commas.")
    ] = "lifecycle,campaigns",
    *,
    versioned: Annotated[
        bool, typer.Option("--versioned", help="Take part in Temporal's worker versioning.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Serve Temporal's own metrics to Prometheus at this address, such as 0.0.0.0:9464."
        ),
    ] = None,
) -> None:
    """Run workflows and activities until SIGTERM or Ctrl-C, then wait up to half a minute for
    running tasks.
    """
    from cli.worker_process import worker as run

    run(queues, metrics, versioned=versioned)


@app.command("codec-server")
def codec_server(
    *,
    origin: Annotated[
        list[str], typer.Option(help="The Temporal UI's origin, such as http://localhost:8233.")
    ],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65_535)] = 8081,
) -> None:
    """Decrypt payloads for the Temporal UI and CLI, until Ctrl-C. Other machines need a token."""
    from cli.codec_process import codec_server as run

    run(host, port, origin)


@app.command()
def migrate(
    revision: Annotated[str, typer.Option(help="The revision to migrate the schema to.")] = "head",
) -> None:
    """Migrate the database's schema. Safe to repeat, and to run from several processes at once."""
    from cli.schema import migrate as run

    run(revision)


@app.command("switch-customers")
def switch_customers(
    *,
    to: Annotated[Provider, typer.Option(help="The provider to switch to.")],
    cohort: Annotated[
        str,
        typer.Option(
            help="The share of organizations, such as 5%; a larger share extends a smaller one."
        ),
    ] = "",
    plan: Annotated[str, typer.Option(help="The plan or price at the new provider.")] = "",
    return_url: Annotated[
        str, typer.Option(help="Where the customer lands after consenting.")
    ] = "",
    cancel_url: Annotated[
        str, typer.Option(help="Where the customer lands after not consenting.")
    ] = "",
    per_minute: Annotated[
        float, typer.Option(help="How many switches to start per minute.", min=0.1)
    ] = 60.0,
    error_budget: Annotated[
        str, typer.Option(help="Pause when a larger share of the finished switches failed.")
    ] = "2%",
    status: Annotated[
        bool, typer.Option("--status", help="Show the progress and start no switches.")
    ] = False,
    pause: Annotated[
        bool, typer.Option("--pause", help="Start no further switches; those under way continue.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Lift the pause and reset the error count.")
    ] = False,
) -> None:
    """Switch a cohort of customers to another billing provider, or show how far it is. Exit status
    1 if the cohort is paused or its error budget is spent.
    """
    from cli.switch_customers import switch_customers as run

    run(
        to=to,
        cohort=cohort,
        plan=plan,
        return_url=return_url,
        cancel_url=cancel_url,
        per_minute=per_minute,
        error_budget=error_budget,
        status=status,
        pause=pause,
        resume=resume,
    )


@app.command()
def reconcile(
    settle: Annotated[
        int, typer.Option(help="Ignore events younger than this, in seconds.", min=0)
    ] = 120,
) -> None:
    """Process the events that a provider lists and never delivered. Exit status 1 if a provider
    could not be queried.
    """
    from cli.reconciliation import reconcile as run

    run(settle)


@app.command()
def recover(
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="A time, in UTC, before the last transaction that the database has.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"],
        ),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Let organizations send again; needs --reason.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why it may be opened.")] = "",
    by: Annotated[str, typer.Option(help="Who you are; by default, your user name.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Stop all sending, and book what Twilio and the providers know since a time and a restored
    database does not; then, with --open, let organizations send again. Exit status 1 if something
    is left to do.
    """
    from cli.recovery import open_again
    from cli.recovery import recover as run

    if open_ is (since is not None):
        raise typer.BadParameter("needs --since, or --open")
    if open_:
        open_again(reason=reason, by=by)
    else:
        assert since is not None
        run(since.replace(tzinfo=UTC), by=by, yes=yes)


@app.command()
def certify(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
    witness: Annotated[
        Path | None,
        typer.Option(help="A file, kept away from the database, to compare with and append to."),
    ] = None,
    only_new: Annotated[
        bool,
        typer.Option("--new", help="Examine only what is new since the last one that held."),
    ] = False,
    connections: Annotated[
        int, typer.Option(min=1, max=16, help="Share the checks out over so many connections.")
    ] = 1,
) -> None:
    """Prove guarantees 1 to 7 on the database. Exit status 1 if one is broken.

    Changes nothing, but notes a checkpoint for --new if everything holds.
    """
    from cli.certification import certify as run

    run(as_json=as_json, witness=witness, only_new=only_new, connections=connections)


@app.command()
def explain(organization: OrganizationId) -> None:
    """Explain an organization's standing, its reasons, and the steps taken. Read-only."""
    from cli.explanation import explain as run

    run(organization)


@app.command()
def foreign(
    organization: OrganizationId,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")] = 100,
    *,
    as_json: Json = False,
) -> None:
    """List messages that the subaccount sent past Tollgate, or received, the newest first."""
    from cli.foreign import show

    show(organization, limit, as_json=as_json)


app.command()(bill)
app.command()(events)
question_commands.add_to(app)
app.add_typer(carrier, name="carrier")
app.add_typer(bulk, name="bulk")
app.add_typer(alerts, name="alerts")
app.add_typer(notify, name="notify")
operator_commands.add_to(app)
app.add_typer(webhooks, name="webhooks")
app.add_typer(bench, name="bench")
