"""Holds: set money aside, then capture all or part of it, or release it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here, OptionalKey, OrganizationId
from api.http.auth import READ, WRITE
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import not_found
from api.http.fields import (
    Amount,
    Body,
    Currency,
    CurrencyOut,
    Decimal,
    Moment,
    Note,
    Reference,
    Time,
)
from api.http.idempotency import Once, mark_replayed
from api.wallet import references
from api.wallet.refusals import refusal
from api.wallet.wallets import resume
from db.audit import explanations
from db.wallet import holds, wallets
from domain.audit.can_send import Reason
from domain.money import Money
from domain.plain_text import is_printable
from domain.wallet.holds import Held, Hold, HoldStatus
from domain.wallet.ledger import Frozen, InsufficientFunds, Suspended

router = APIRouter(prefix="/v1/organizations/{organization_id}/wallet/holds", tags=["wallet"])
_CURSORS: Cursors[str] = Cursors("holds", Reference)


async def _hold_reference(
    reference_id: Annotated[
        str,
        Path(description="The reference of the hold; may contain slashes.", examples=["ride-17"]),
    ],
) -> str:
    if not is_printable(reference_id):
        raise not_found("hold")
    return reference_id


HoldReference = Annotated[str, Depends(_hold_reference)]


class HoldRequest(Body):
    """A hold. It is created once for each reference: repeating it returns the same hold; other
    content is a conflict.
    """

    reference_id: Reference | None = Field(
        default=None,
        description=(
            "Identifies the hold, and the debit that captures it. Without it the header "
            "`Idempotency-Key` is the reference."
        ),
    )
    amount: Amount = Field(description="More than zero.")
    currency: Currency = Field(description="The currency of the wallet.")
    expires_at: Annotated[
        Moment, Field(description="When it is released; in the future, within a year.")
    ]
    description: Note = Field(default="", description="For people.")


class CaptureRequest(Body):
    """How much of a hold to capture."""

    amount: Amount | None = Field(
        default=None,
        description="At most the amount of the hold; without it all of it is captured.",
    )


class HoldOut(BaseModel):
    """A hold on money in a wallet."""

    reference_id: str = Field(
        description="The reference of the hold, and of the debit that captures it."
    )
    amount: Decimal = Field(description="What was set aside.")
    captured: Decimal = Field(description="What its debit took.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    status: HoldStatus = Field(description="`open`, `captured`, `released` or `expired`.")
    expires_at: Time = Field(description="When it is released.")
    description: str = Field(description="For people.")

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        return cls(
            reference_id=hold.reference_id,
            amount=hold.amount.micros,
            captured=hold.captured_micros,
            currency=hold.amount.currency,
            status=hold.status,
            expires_at=hold.expires_at,
            description=hold.description,
        )


class HoldPage(Page[HoldOut]):
    pass


@router.post(
    "",
    dependencies=[WRITE],
    status_code=201,
    responses={200: {"description": "It was reserved before"}},
    operation_id="create_hold",
    summary="Create a hold",
)
async def reserve(
    organization_id: OrganizationId,
    body: HoldRequest,
    here: Here,
    response: Response,
    key: OptionalKey = None,
) -> HoldOut:
    """Sets money aside: no debit can take it until the hold is captured, released or expires.
    Returns 402 if the balance is not enough, 423 if the organization is suspended or the wallet
    frozen.
    """
    reference = references.chosen(body.reference_id, key)
    named = [body.reference_id]
    await references.refuse_reuse(here, organization_id, "holds", key, [body], named)
    hold = Hold(
        reference_id=reference,
        amount=Money(body.amount, body.currency),
        expires_at=body.expires_at,
        description=body.description,
    )
    async with here.services.engine.begin() as conn:
        outcome = await holds.reserve(conn, organization_id, hold, now=datetime.now(UTC))
        why = await _why_not(conn, organization_id, outcome)
    accepted = _accepted(outcome, why, by_key=body.reference_id is None)
    if accepted.replayed:
        mark_replayed(response)
    response.status_code = 200 if accepted.replayed else 201
    return HoldOut.of(accepted.hold)


@router.get("", dependencies=[READ], operation_id="list_holds", summary="List holds")
async def list_holds(
    organization_id: OrganizationId,
    here: Here,
    status: Annotated[HoldStatus | None, Query(description="Only holds with this status.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> HoldPage:
    """Returns the holds ordered by reference."""
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        wallet = await wallets.get(conn, organization_id)
        if wallet is None:
            raise not_found("organization")
        found = await holds.page(conn, wallet, status=status, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda hold: hold.reference_id)
    return HoldPage(data=[HoldOut.of(hold) for hold in shown], next_cursor=following)


@router.post(
    "/{reference_id:path}/capture",
    dependencies=[WRITE],
    operation_id="capture_hold",
    summary="Capture a hold",
)
async def capture(
    organization_id: OrganizationId,
    reference_id: HoldReference,
    here: Here,
    once: Once,
    body: CaptureRequest | None = None,
) -> HoldOut:
    """Debits all or part of the hold, once, and releases the rest. The debit has the reference of
    the hold. Repeating the request with the same amount returns the same answer. Returns 423 while
    the organization is suspended or the wallet frozen; the hold stays open.
    """
    amount = body.amount if body is not None else None
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn, body):
            return await _hold_out(conn, organization_id, reference_id)
        outcome = await holds.capture(
            conn, organization_id, reference_id, amount, now=datetime.now(UTC)
        )
        if not isinstance(outcome, Held):
            await once.forget(conn, body)
        why = await _why_not(conn, organization_id, outcome)
    accepted = _accepted(outcome, why)
    if accepted.replayed:
        once.replayed()
    else:
        await resume(here, organization_id)
    return HoldOut.of(accepted.hold)


@router.post(
    "/{reference_id:path}/release",
    dependencies=[WRITE],
    operation_id="release_hold",
    summary="Release a hold",
)
async def release(
    organization_id: OrganizationId, reference_id: HoldReference, here: Here, once: Once
) -> HoldOut:
    """Makes the money available again. Campaigns that waited for money resume. Idempotent."""
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn):
            return await _hold_out(conn, organization_id, reference_id)
        outcome = await holds.release(conn, organization_id, reference_id, now=datetime.now(UTC))
        if not isinstance(outcome, Held):
            await once.forget(conn)
    accepted = _accepted(outcome)
    if accepted.replayed:
        once.replayed()
    else:
        await resume(here, organization_id)
    return HoldOut.of(accepted.hold)


@router.get(
    "/{reference_id:path}", dependencies=[READ], operation_id="get_hold", summary="Get a hold"
)
async def get(organization_id: OrganizationId, reference_id: HoldReference, here: Here) -> HoldOut:
    """Returns the hold with its status and what was captured."""
    async with here.snapshot() as conn:
        return await _hold_out(conn, organization_id, reference_id)


async def _hold_out(conn: AsyncConnection, organization_id: str, reference_id: str) -> HoldOut:
    hold = await holds.get(conn, organization_id, reference_id)
    if hold is None:
        raise not_found("hold")
    return HoldOut.of(hold)


async def _why_not(
    conn: AsyncConnection, organization_id: str, outcome: object
) -> Sequence[Reason]:
    if not isinstance(outcome, Suspended | Frozen | InsufficientFunds):
        return ()
    return await explanations.why_not(conn, organization_id) or ()


def _accepted(outcome: object, why: Sequence[Reason] = (), *, by_key: bool = False) -> Held:
    if not isinstance(outcome, Held):
        raise refusal(outcome, why, by_key=by_key)
    return outcome
