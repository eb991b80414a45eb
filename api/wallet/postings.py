"""Money in and out of a wallet: one posting or a list, each decided once by its reference."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Response

from api.context import Context, Here, OptionalKey, OrganizationId
from api.http.auth import WRITE
from api.http.errors import ProblemOut, invalid, not_found
from api.http.fast_routes import LeanRoute
from api.wallet.fields import EntryOut, PostingOut, PostingRequest, PostingsOut, PostingsRequest
from api.wallet.refusals import refusal
from api.wallet.wallets import resume
from db.audit import explanations
from domain.audit.can_send import Reason
from domain.money import Money
from domain.wallet import references
from domain.wallet.ledger import (
    Frozen,
    InsufficientFunds,
    Outcome,
    Posted,
    Posting,
    Suspended,
    WalletNotFound,
    credit,
    debit,
)

router = APIRouter(
    prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"], route_class=LeanRoute
)
Kind = Callable[[str, Money, str], Posting]
ANSWERS: dict[str, Any] = {
    "status_code": 201,
    "dependencies": [WRITE],
    "responses": {200: {"description": "It was booked before; or the outcomes of a list"}},
}


@router.post("/credits", operation_id="credit_wallet", summary="Credit a wallet", **ANSWERS)
async def post_credits(
    organization_id: OrganizationId,
    body: PostingsRequest,
    here: Here,
    response: Response,
    key: OptionalKey = None,
) -> EntryOut | PostingsOut:
    """Books one credit, or a list of up to 1,000. One credit returns 201, or 200 if its reference was
    booked before. A list returns 200 with one outcome for each posting. Campaigns that waited for
    money resume.
    """
    answer = await _post(here, organization_id, credit, body, key, response)
    await resume(here, organization_id)
    return answer


@router.post("/debits", operation_id="debit_wallet", summary="Debit a wallet", **ANSWERS)
async def post_debits(
    organization_id: OrganizationId,
    body: PostingsRequest,
    here: Here,
    response: Response,
    key: OptionalKey = None,
) -> EntryOut | PostingsOut:
    """Books one debit, or a list of up to 1,000. One debit returns 201, or 200 if its reference was
    booked before; 402 if the balance is not enough, 423 if the organization is suspended or the
    wallet frozen.

    A list returns 200 with one outcome for each posting. Postings are decided in order, each on the
    balance that the posting before it left; a refused posting takes nothing from the ones after it.
    """
    return await _post(here, organization_id, debit, body, key, response)


async def _post(
    here: Context,
    organization_id: str,
    kind: Kind,
    body: PostingRequest | list[PostingRequest],
    key: str | None,
    response: Response,
) -> EntryOut | PostingsOut:
    if isinstance(body, list):
        response.status_code = 200
        return await _post_list(
            here,
            organization_id,
            [
                _posting(kind, new_posting, reference)
                for new_posting, reference in _with_references(body, key)
            ],
        )
    reference = body.reference_id or key
    if reference is None:
        raise _no_reference("reference_id")
    posting = _posting(kind, body, reference)
    [outcome] = await here.coalescer.post(organization_id, [posting])
    if not isinstance(outcome, Posted):
        raise refusal(outcome, await _why_not(here, organization_id, [outcome]))
    response.status_code = 200 if outcome.replayed else 201
    return EntryOut.of(outcome.entry, posting.amount.currency)


async def _post_list(
    here: Context, organization_id: str, postings: Sequence[Posting]
) -> PostingsOut:
    outcomes = await here.coalescer.post(organization_id, postings)
    if any(isinstance(outcome, WalletNotFound) for outcome in outcomes):
        raise not_found("organization")
    why = await _why_not(here, organization_id, outcomes)
    return PostingsOut(
        outcomes=[
            _posting_out(posting, outcome, why)
            for posting, outcome in zip(postings, outcomes, strict=True)
        ]
    )


def _with_references(
    new_postings: Sequence[PostingRequest], key: str | None
) -> list[tuple[PostingRequest, str]]:
    missing = [
        place for place, new_posting in enumerate(new_postings) if new_posting.reference_id is None
    ]
    if missing and key is None:
        raise _no_reference(f"{missing[0]}.reference_id")
    return [
        (new_posting, new_posting.reference_id or f"{key}:{place}")
        for place, new_posting in enumerate(new_postings, start=1)
    ]


def _no_reference(field: str) -> Exception:
    return invalid(field, "a reference is needed, here or as the header Idempotency-Key")


def _posting(kind: Kind, new_posting: PostingRequest, reference: str) -> Posting:
    if references.is_ours(reference):
        raise invalid("reference_id", references.RESERVED)
    return kind(reference, Money(new_posting.amount, new_posting.currency), new_posting.description)


async def _why_not(
    here: Context, organization_id: str, outcomes: Sequence[Outcome]
) -> Sequence[Reason]:
    if not any(isinstance(outcome, Suspended | Frozen | InsufficientFunds) for outcome in outcomes):
        return ()
    async with here.snapshot() as conn:
        return await explanations.why_not(conn, organization_id) or ()


def _posting_out(posting: Posting, outcome: Outcome, why: Sequence[Reason]) -> PostingOut:
    if isinstance(outcome, Posted):
        return PostingOut(
            reference_id=posting.reference_id,
            outcome="replayed" if outcome.replayed else "booked",
            entry=EntryOut.of(outcome.entry, posting.amount.currency),
        )
    problem = ProblemOut.model_validate(refusal(outcome, why).document)
    return PostingOut(reference_id=posting.reference_id, outcome="refused", problem=problem)
