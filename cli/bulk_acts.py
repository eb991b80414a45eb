"""`tollgate bulk`: previews, confirms and follows an act over many organizations."""

from datetime import UTC, datetime
from uuid import UUID

import typer
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.errors import Problem
from api.operations.bulk_acts import previewed
from api.operations.bulk_fields import (
    BulkActOut,
    BulkActPage,
    BulkActProgressOut,
    BulkActRequest,
    BulkFilter,
)
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.reasons import user
from cli.transactions import run
from db.operations import bulk_acts
from db.operations.bulk_acts import NotConfirmed
from domain.operations.bulk_act import BulkAct, BulkKind, TargetStatus
from runtime import settings
from runtime.settings import Settings

Counts = dict[TargetStatus, int]


def preview(
    kind: BulkKind,
    filters: dict[str, object],
    *,
    reason: str,
    amount: str | None,
    currency: str | None,
    by: str,
    as_json: bool,
) -> None:
    body = _request(kind, filters, reason=reason, amount=amount, currency=currency)
    limits = settings.load(Settings)
    try:
        act = run(lambda conn: previewed(conn, body, limits, by=by or user()))
    except Problem as problem:
        raise CommandFailed(str(problem.detail)) from None
    if as_json:
        write(BulkActOut.of(act).model_dump_json())
        return
    sample = run(lambda conn: bulk_acts.targets(conn, act.id))
    total = "" if act.total is None else f", {act.total} in all"
    output.print(f"{act.kind.value}: {act.organizations} organizations{total}; nothing was done")
    more = ", ..." if act.organizations > len(sample) else ""
    output.print(", ".join(target.organization_id for target in sample) + more)
    output.print(f"to do it, within an hour: tollgate bulk confirm {act.id} {act.digest}")


def confirm(bulk_act_id: UUID, digest: str, by: str) -> None:
    now = datetime.now(UTC)
    who = f"{by or user()} (command line)"  # `api.http.operator_notes` knows operators by that
    try:
        act = run(lambda conn: bulk_acts.confirm(conn, bulk_act_id, digest, by=who, now=now))
    except NotConfirmed as problem:
        raise CommandFailed(f"not confirmed: {problem}") from None
    if act is None:
        raise CommandFailed(f"there is no act {bulk_act_id}")
    output.print(f"{act.status.value}; the workers do it: tollgate bulk show {act.id}")


def show(bulk_act_id: UUID, *, as_json: bool) -> None:
    found = run(lambda conn: _read(conn, bulk_act_id))
    if found is None:
        raise CommandFailed(f"there is no act {bulk_act_id}")
    act, counts, refused = found
    if as_json:
        write(BulkActProgressOut.now(act, counts).model_dump_json())
        return
    numbers = ", ".join(f"{number} {status.value}" for status, number in counts.items())
    output.print(f"{act.kind.value}, {act.status.value}: {numbers}")
    if refused:
        shown = table("refused for", "why")
        for organization_id, detail in refused:
            shown.add_row(organization_id, detail)
        output.print(shown)


def show_all(limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: bulk_acts.page(conn, before=None, limit=limit))
    if as_json:
        rows = [BulkActOut.of(act) for act in found]
        write(BulkActPage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table("id", "act", "organizations", "total", "status", "previewed", "by", "reason")
    for act in found:
        shown.add_row(
            str(act.id),
            act.kind.value,
            str(act.organizations),
            str(act.total or ""),
            act.status.value,
            act.previewed_at.strftime("%Y-%m-%d %H:%M UTC"),
            act.confirmed_by or act.previewed_by,
            act.reason,
        )
    output.print(shown)


def _request(
    kind: BulkKind,
    filters: dict[str, object],
    *,
    reason: str,
    amount: str | None,
    currency: str | None,
) -> BulkActRequest:
    named = {name: value for name, value in filters.items() if value not in (None, "")}
    money = {"amount": amount, "currency": currency}
    try:
        return BulkActRequest.model_validate(
            {"act": kind, "filter": BulkFilter.model_validate(named), "reason": reason}
            | {name: value for name, value in money.items() if value is not None}
        )
    except ValidationError as problem:
        raise typer.BadParameter(problem.errors()[0]["msg"]) from None


async def _read(
    conn: AsyncConnection, bulk_act_id: UUID
) -> tuple[BulkAct, Counts, list[tuple[str, str]]] | None:
    act = await bulk_acts.get(conn, bulk_act_id)
    if act is None:
        return None
    refused = await bulk_acts.targets(conn, bulk_act_id, status=TargetStatus.REFUSED, limit=100)
    reasons = [(target.organization_id, target.detail) for target in refused]
    return act, await bulk_acts.counts(conn, bulk_act_id), reasons
