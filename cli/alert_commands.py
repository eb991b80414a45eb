"""The commands about alerts: what needs a person, and who looks after it."""

from typing import Annotated

import typer

from cli.bench_commands import Json
from cli.operator_commands import not_blank
from domain.alerts import AlertKind, AlertStatus, Severity

alerts = typer.Typer(invoke_without_command=True)
AlertId = Annotated[str, typer.Argument(help="The alert's id: alt_...")]
By = Annotated[str, typer.Option(help="Who you are; by default, your user name.")]


@alerts.callback()
def list_alerts(
    context: typer.Context,
    *,
    kind: Annotated[AlertKind | None, typer.Option(help="Only of this kind.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only of this severity.")] = None,
    organization: Annotated[
        str | None, typer.Option(help="Only of this organization; empty: of the installation.")
    ] = None,
    status: Annotated[
        AlertStatus | None, typer.Option(help="By default, open and acknowledged ones.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the alerts of all organizations and of the installation, the newest first."""
    if context.invoked_subcommand is None:
        from cli.alerts import show_all

        show_all(kind, severity, organization, status, as_json=as_json)


@alerts.command("show")
def show_alert(alert_id: AlertId, *, as_json: Json = False) -> None:
    """Show an alert: what it means, what to do, and its history. Exit status 1 if there is none."""
    from cli.alerts import show

    show(alert_id, as_json=as_json)


@alerts.command("acknowledge")
def acknowledge_alert(
    alert_id: AlertId,
    *,
    owner: Annotated[str, typer.Option(help="Who looks after it; by default, you.")] = "",
    note: Annotated[str, typer.Option(help="For whoever looks at it later.")] = "",
    by: By = "",
) -> None:
    """Record who looks after an alert; nobody is reminded of it any more. Exit status 1 if it is not
    open.
    """
    from cli.alerts import acknowledge

    acknowledge(alert_id, owner=owner, note=note, by=by)


@alerts.command("close")
def close_alert(
    alert_id: AlertId,
    reason: Annotated[str, typer.Option(help="How it was resolved.", callback=not_blank)],
    by: By = "",
) -> None:
    """Close an alert that only a person can resolve. Another one is raised if its cause recurs. Exit
    status 1 if it is not open, or clears by itself.
    """
    from cli.alerts import close

    close(alert_id, reason=reason, by=by)
