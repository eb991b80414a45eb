"""Alerts: conditions that need a person. Most clear automatically; a person closes those that only
a person can resolve.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.audit.alert_fields import AcknowledgementRequest, AlertOut, AlertRecordOut
from api.context import Here, OrganizationId
from api.http import operator_notes
from api.http.auth import OPERATOR, READ, Caller
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.fields import ReasonRequest
from api.http.idempotency import Once
from db import alerts
from db.alerts import Alert
from db.api_keys import ApiKey
from db.audit import alert_records
from db.audit.alert_records import Filter
from db.lifecycle import organizations
from domain.alerts import AlertKind, AlertStatus, Severity, clears_only_when, kinds_of
from domain.lifecycle.organization import is_organization_id
from domain.plain_text import is_plain

router = APIRouter(tags=["alerts"])
_OF_ORGANIZATION = "/v1/organizations/{organization_id}/alerts"
_CURSORS: Cursors[tuple[datetime, str]] = Cursors(
    "alerts", tuple[AwareDatetime, Annotated[str, Field(pattern="^[a-z_]{1,50}$")]]
)
_RECORDS: Cursors[tuple[datetime, str]] = Cursors(
    "alert_records", tuple[AwareDatetime, Annotated[str, Field(pattern="^alt_[0-9a-f]{32}$")]]
)
AlertId = Annotated[
    str, Path(description="The id of the alert.", examples=["alt_0195f1d26d3a7c419b1e3f0a5c7d2e90"])
]
OfKind = Annotated[
    str, Path(description="The kind of the alert.", pattern="^[a-z_]{1,50}$", examples=["refund"])
]


class AlertPage(Page[AlertOut]):
    pass


@router.get(
    "/v1/alerts",
    dependencies=[OPERATOR],
    operation_id="list_all_alerts",
    summary="List the alerts of all organizations and of the installation",
)
async def page(
    here: Here,
    *,
    kind: Annotated[AlertKind | None, Query(description="Only of this kind.")] = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    organization_id: Annotated[
        str | None,
        Query(description="Only of this organization; empty: of the whole installation."),
    ] = None,
    status: Annotated[
        AlertStatus | None,
        Query(description="Without it: `open` and `acknowledged` ones."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AlertPage:
    """Returns the alerts, newest first."""
    wanted = Filter(
        kinds=None if kind is None and severity is None else kinds_of(kind, severity),
        organization_id=organization_id,
        status=status,
    )
    if organization_id and not is_organization_id(organization_id):
        raise invalid("organization_id", "not an organization's id")
    before = _RECORDS.read(cursor)
    async with here.snapshot() as conn:
        found = await alert_records.page(conn, wanted, before=before, limit=limit + 1)
    shown, following = _RECORDS.cut(found, limit, lambda alert: (alert.raised_at, alert.id))
    return AlertPage(data=[AlertOut.of(alert) for alert in shown], next_cursor=following)


@router.get(
    "/v1/alerts/{alert_id}",
    dependencies=[OPERATOR],
    operation_id="get_alert",
    summary="Get an alert with its history",
)
async def get(alert_id: AlertId, here: Here) -> AlertRecordOut:
    """Returns an alert, also one that ended, with what it means and what happened to it."""
    async with here.snapshot() as conn:
        return await _record(conn, alert_id)


@router.post(
    "/v1/alerts/{alert_id}/acknowledge",
    dependencies=[OPERATOR],
    operation_id="acknowledge_alert",
    summary="Acknowledge an alert",
)
async def acknowledge(
    alert_id: AlertId, body: AcknowledgementRequest, here: Here, caller: Caller, once: Once
) -> AlertRecordOut:
    """Records who looks after the alert: nobody is reminded of it any more, unless it is raised for
    something new. Again with another owner hands it over.
    """
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            by = _actor(caller)
            done = await alert_records.acknowledge(
                conn,
                await _standing(conn, alert_id),
                owner=body.owner or by,
                by=by,
                remark=body.note,
            )
            if not done:
                raise not_found("alert", f"the alert {alert_id} is not open")
        return await _record(conn, alert_id)


@router.post(
    "/v1/alerts/{alert_id}/close",
    dependencies=[OPERATOR],
    operation_id="close_alert",
    summary="Close an alert",
)
async def close(
    alert_id: AlertId, body: ReasonRequest, here: Here, caller: Caller, once: Once
) -> AlertRecordOut:
    """Closes an alert that only a person can resolve. Tollgate raises another one if the cause
    occurs again. An alert that clears by itself is not closed: it would be raised again.
    """
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            alert = await _standing(conn, alert_id)
            await _close(conn, alert, by=_actor(caller), reason=body.reason)
        return await _record(conn, alert_id)


@router.get(
    _OF_ORGANIZATION,
    dependencies=[READ],
    operation_id="list_alerts",
    summary="List the open alerts of an organization",
)
async def list_of_organization(
    organization_id: OrganizationId,
    here: Here,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AlertPage:
    """Returns the alerts, oldest first."""
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await alerts.standing(conn, organization_id, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda alert: (alert.raised_at, alert.kind))
    seen = operator_notes.of_alerts(shown, caller)
    return AlertPage(data=[AlertOut.of(alert) for alert in seen], next_cursor=following)


@router.delete(
    _OF_ORGANIZATION + "/{kind}",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="close_alert_of_kind",
    summary="Close an organization's alert of a kind",
)
async def close_of_kind(
    organization_id: OrganizationId, kind: OfKind, here: Here, caller: Caller
) -> Response:
    """Like `POST /v1/alerts/{alert_id}/close`, without a reason. Returns 404 if no such alert is
    open.
    """
    async with here.services.engine.begin() as conn:
        wanted = Filter(kinds=[kind], organization_id=organization_id)
        found = await alert_records.page(conn, wanted, limit=1)
        if not found:
            raise not_found("alert", f"no alert {kind} is open")
        await _close(conn, found[0], by=_actor(caller), reason="")
    return Response(status_code=204)


async def _close(conn: AsyncConnection, alert: Alert, *, by: str, reason: str) -> None:
    only_when = clears_only_when(alert.kind)
    if only_when is not None:
        raise Problem(Kind.ALERT_CLEARS_ITSELF, f"{alert.kind} clears when {only_when}")
    if not await alert_records.close(conn, alert.id, by=by, reason=reason):
        raise not_found("alert", f"the alert {alert.id} is not open")


async def _standing(conn: AsyncConnection, alert_id: str) -> Alert:
    alert = await alert_records.get(conn, alert_id) if is_plain(alert_id) else None
    if alert is None or alert.cleared_at is not None:
        raise not_found("alert", f"no alert {alert_id} is open")
    return alert


async def _record(conn: AsyncConnection, alert_id: str) -> AlertRecordOut:
    alert = await alert_records.get(conn, alert_id) if is_plain(alert_id) else None
    if alert is None:
        raise not_found("alert")
    return AlertRecordOut.with_history(alert, await alert_records.history(conn, alert_id))


def _actor(caller: ApiKey) -> str:
    return f"{caller.name} ({caller.id})"
