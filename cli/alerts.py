"""`tollgate alerts`: lists alerts, shows one, acknowledges it, and closes resolved ones."""

import json
from typing import NoReturn

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.audit.alert_fields import AlertOut, AlertRecordOut
from cli.console import errors, output, table, write
from cli.reasons import user
from cli.transactions import run
from db.alerts import Alert
from db.audit import alert_records
from db.audit.alert_records import Filter, status_of
from domain.alerts import AlertKind, AlertStatus, Severity, clears_only_when, kinds_of, severity_of

MOST = 10_000


def show_all(
    kind: AlertKind | None,
    severity: Severity | None,
    organization_id: str | None,
    status: AlertStatus | None,
    *,
    as_json: bool,
) -> None:
    kinds = None if kind is None and severity is None else kinds_of(kind, severity)
    wanted = Filter(kinds=kinds, organization_id=organization_id, status=status)
    found = run(lambda conn: alert_records.page(conn, wanted, limit=MOST))
    if as_json:
        rows = [AlertOut.of(alert).model_dump(mode="json") for alert in found]
        write(json.dumps({"data": rows, "next_cursor": None}))
        return
    shown = table("id", "organization", "severity", "kind", "raised", "times", "owner", "detail")
    for alert in found:
        shown.add_row(
            alert.id,
            alert.organization_id or "(installation)",
            severity_of(alert.kind).value,
            alert.kind,
            alert.raised_at.strftime("%Y-%m-%d %H:%M UTC"),
            str(alert.times),
            alert.owner or "",
            alert.detail,
        )
    output.print(shown)


def show(alert_id: str, *, as_json: bool) -> None:
    found = run(lambda conn: _record(conn, alert_id))
    if found is None:
        _fail(f"there is no alert {alert_id}")
    if as_json:
        write(found.model_dump_json())
        return
    output.print(
        f"{found.severity.value}: {found.kind} of {found.organization_id or 'the installation'}"
    )
    output.print(f"{found.status.value}; {found.detail}")
    if found.about:
        output.print(f"{found.about} ({found.runbook})")
    output.print(
        f"it clears when {found.clears_when}" if found.clears_when else "a person closes it"
    )
    changes = table("when", "change", "by", "note")
    for change in found.history:
        made_at = change.made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        changes.add_row(made_at, change.change, change.made_by or "", change.note)
    output.print(changes)


def acknowledge(alert_id: str, *, owner: str, note: str, by: str) -> None:
    async def work(conn: AsyncConnection) -> bool:
        alert = await alert_records.get(conn, alert_id)
        actor = by or user()
        return alert is not None and await alert_records.acknowledge(
            conn, alert, owner=owner or actor, by=actor, remark=note
        )

    if not run(work):
        _fail(f"{alert_id} is not open")
    output.print(f"acknowledged {alert_id}")


def close(alert_id: str, *, reason: str, by: str) -> None:
    async def work(conn: AsyncConnection) -> Alert | None:
        alert = await alert_records.get(conn, alert_id)
        if alert is None or status_of(alert) is AlertStatus.CLEARED:
            _fail(f"{alert_id} is not open")
        only_when = clears_only_when(alert.kind)
        if only_when is not None:
            _fail(f"{alert.kind} clears when {only_when}")
        closed = await alert_records.close(conn, alert_id, by=by or user(), reason=reason)
        return alert if closed else None

    closed = run(work)
    if closed is None:
        _fail(f"{alert_id} is not open")
    output.print(f"closed {closed.kind} of {closed.organization_id or 'the installation'}")


async def _record(conn: AsyncConnection, alert_id: str) -> AlertRecordOut | None:
    alert = await alert_records.get(conn, alert_id)
    if alert is None:
        return None
    return AlertRecordOut.with_history(alert, await alert_records.history(conn, alert_id))


def _fail(why: str) -> NoReturn:
    errors.print(why, style="red")
    raise typer.Exit(1)
