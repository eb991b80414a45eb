"""Acts over many organizations: a preview, its confirmation, and how far it is."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here, parsed_uuid
from api.http.auth import OPERATOR, Caller
from api.http.cursors import Cursor, Cursors, Limit
from api.http.errors import invalid, not_found
from api.http.fields import Reference
from api.http.idempotency import Once
from api.http.operator_notes import actor
from api.operations.bulk_fields import (
    BulkActOut,
    BulkActPage,
    BulkActProgressOut,
    BulkActRequest,
    BulkActTargetOut,
    BulkActTargetPage,
    ConfirmationRequest,
)
from db.operations import bulk_acts
from db.operations.bulk_acts import NewBulkAct, TooMany, TooMuch
from domain.money import MICROS, Money
from domain.operations.bulk_act import BulkAct, BulkStatus, TargetStatus
from runtime.settings import Settings

router = APIRouter(prefix="/v1/bulk-acts", tags=["operations"])
_CURSORS: Cursors[UUID] = Cursors("bulk_acts", UUID)
_TARGET_CURSORS: Cursors[str] = Cursors("bulk_act_targets", Reference)
BulkActId = Annotated[
    str,
    Path(
        description="The id of the act.",
        json_schema_extra={"format": "uuid"},
        examples=["0195f1d2-6d3a-7c41-9b1e-3f0a5c7d2e90"],
    ),
]


@router.post(
    "",
    status_code=201,
    dependencies=[OPERATOR],
    operation_id="preview_bulk_act",
    summary="Preview an act over many organizations",
)
async def preview(
    body: BulkActRequest, caller: Caller, here: Here, once: Once
) -> BulkActProgressOut:
    """Finds the organizations and does nothing to them. The answer names how many there are, the
    money of all, and a digest; `GET …/organizations` lists them. A credit concerns only wallets in
    its currency, and the setting `TOLLGATE_BULK_CREDIT_LIMIT` limits the sum.
    """
    earlier = await once.begin(here, body)
    if earlier is not None and earlier.answer is not None:
        return BulkActProgressOut.model_validate_json(earlier.answer)
    async with here.services.engine.begin() as conn:
        act = await previewed(conn, body, here.services.settings, by=actor(caller))
        answer = BulkActProgressOut.now(act, await bulk_acts.counts(conn, act.id))
    await once.finish(here, body, answer)
    return answer


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_bulk_acts",
    summary="List acts over many organizations",
)
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> BulkActPage:
    """Returns previews and acts, the newest first."""
    before = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await bulk_acts.page(conn, before=before, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda act: act.id)
    return BulkActPage(data=[BulkActOut.of(act) for act in shown], next_cursor=following)


@router.get(
    "/{bulk_act_id}",
    dependencies=[OPERATOR],
    operation_id="get_bulk_act",
    summary="Get an act over many organizations",
)
async def get(bulk_act_id: BulkActId, here: Here) -> BulkActProgressOut:
    """Returns the act and how many organizations are done."""
    id_ = parsed_uuid(bulk_act_id, "bulk act")
    async with here.snapshot() as conn:
        act = await bulk_acts.get(conn, id_)
        if act is None:
            raise not_found("bulk act")
        return BulkActProgressOut.now(act, await bulk_acts.counts(conn, id_))


@router.get(
    "/{bulk_act_id}/organizations",
    dependencies=[OPERATOR],
    operation_id="list_bulk_act_organizations",
    summary="List the organizations of an act over many",
)
async def organizations(
    bulk_act_id: BulkActId,
    here: Here,
    *,
    status: Annotated[
        TargetStatus | None, Query(description="Only those of which this became.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> BulkActTargetPage:
    """Returns the organizations of a preview or an act, ordered by id, with what became of each."""
    after = _TARGET_CURSORS.read(cursor)
    id_ = parsed_uuid(bulk_act_id, "bulk act")
    async with here.snapshot() as conn:
        if await bulk_acts.get(conn, id_) is None:
            raise not_found("bulk act")
        found = await bulk_acts.targets(
            conn, id_, status=status, after=after or "", limit=limit + 1
        )
    shown, following = _TARGET_CURSORS.cut(found, limit, lambda target: target.organization_id)
    return BulkActTargetPage(
        data=[BulkActTargetOut.of(target) for target in shown], next_cursor=following
    )


@router.post(
    "/{bulk_act_id}/confirm",
    dependencies=[OPERATOR],
    operation_id="confirm_bulk_act",
    summary="Confirm an act over many organizations",
)
async def confirm(
    bulk_act_id: BulkActId, body: ConfirmationRequest, caller: Caller, here: Here, once: Once
) -> BulkActProgressOut:
    """Lets the previewed act run: each organization is done once, however often this is repeated.
    Returns 409 if the digest is another one, or the preview is older than an hour.
    """
    id_ = parsed_uuid(bulk_act_id, "bulk act")
    async with here.services.engine.begin() as conn:
        await once.do_once(conn, body)  # the digest makes it count once, with a key or without
        act = await bulk_acts.confirm(
            conn, id_, body.digest, by=actor(caller), now=datetime.now(UTC)
        )
        if act is None:
            raise not_found("bulk act")
        answer = BulkActProgressOut.now(act, await bulk_acts.counts(conn, id_))
    if act.status is BulkStatus.RUNNING:
        notifying = here.services.notifier.notify_bulk_act(id_)
        here.background.do(notifying, "notify", bulk_act_id=bulk_act_id)
    return answer


async def previewed(
    conn: AsyncConnection, body: BulkActRequest, settings: Settings, *, by: str
) -> BulkAct:
    """Store the preview of a request. Raises `Problem` if it is too large."""
    amount = None
    if body.amount is not None and body.currency is not None:
        amount = Money(body.amount, body.currency)
    wanted = NewBulkAct(
        kind=body.act,
        filters=body.filter.filters(),
        written=body.filter.model_dump(mode="json", exclude_none=True),
        reason=body.reason,
        amount=amount,
        most_micros=int(settings.bulk_credit_limit * MICROS),
    )
    try:
        return await bulk_acts.preview(conn, wanted, by=by)
    except TooMany as problem:
        raise invalid("filter", str(problem)) from None
    except TooMuch as problem:
        raise invalid("amount", str(problem)) from None
