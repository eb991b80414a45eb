"""`tollgate alerts`: lists the open alerts of all organizations, and closes resolved ones."""

import json

import typer

from cli.console import errors, output, table, write
from cli.transactions import run
from db import alerts

MOST = 10_000


def show_all(*, as_json: bool) -> None:
    standing = run(lambda conn: alerts.standing(conn, limit=MOST))
    if as_json:
        rows = [
            {
                "organization_id": alert.organization_id or None,
                "kind": alert.kind,
                "detail": alert.detail,
                "raised_at": alert.raised_at.isoformat(),
                "times": alert.times,
            }
            for alert in standing
        ]
        write(json.dumps({"data": rows, "next_cursor": None}))
        return
    shown = table("organization", "kind", "raised", "times", "detail")
    for alert in standing:
        raised_at = alert.raised_at.strftime("%Y-%m-%d %H:%M UTC")
        shown.add_row(
            alert.organization_id or "(installation)",
            alert.kind,
            raised_at,
            str(alert.times),
            alert.detail,
        )
    output.print(shown)


def close(organization_id: str, kind: str) -> None:
    if not run(lambda conn: alerts.close(conn, organization_id, kind)):
        errors.print(f"{organization_id} has no open alert {kind}", style="red")
        raise typer.Exit(1)
    output.print(f"closed {kind} of {organization_id}")
