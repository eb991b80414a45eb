"""Credits and debits of a wallet: one posting or a list, each booked once for its reference."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Response

from api.context import Context, Here, OptionalKey, OrganizationId
from api.http.auth import WRITE
from api.http.errors import ProblemOut, not_found
from api.http.fast_routes import FastRoute
from api.http.idempotency import mark_replayed
from api.wallet import references
from api.wallet.fields import (
    BookedOut,
    EntryOut,
    PostingRequest,
    PostingsOut,
    PostingsRequest,
    RefusedOut,
)
from api.wallet.refusals import refusal
from api.wallet.wallets import resume
from db.audit import explanations
from domain.audit.can_send import Reason
from domain.money import Money
from domain.wallet.entries import Posting, credit, debit
from domain.wallet.ledger import (
    Frozen,
    InsufficientFunds,
    Outcome,
    Posted,
    Suspended,
    WalletNotFound,
)

router = APIRouter(
    prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"], route_class=FastRoute
)
Kind = Callable[[str, Money, str], Posting]
ANSWERS: dict[str, Any] = {
    "status_code": 201,
    "dependencies": [WRITE],
    "response_model": EntryOut,
    "responses": {
        200: {
            "model": EntryOut | PostingsOut,
            "description": "The posting was booked before; or the outcomes of a list",
        }
    },
}


@router.post("/credits", operation_id="credit_wallet", summary="Credit a wallet", **ANSWERS)
async def post_credits(
    organization_id: OrganizationId,
    body: PostingsRequest,
    here: Here,
    response: Response,
    key: OptionalKey = None,
) -> EntryOut | PostingsOut:
    """Books one credit, or a list of up to 1,000. One credit returns 201, or 200 if its reference
    was booked before. A list returns 200 with one outcome for each posting. Campaigns that waited
    for money resume.
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
    new_postings = body if isinstance(body, list) else [body]
    named = [new_posting.reference_id for new_posting in new_postings]
    if isinstance(body, list):
        postings = _with_references(kind, body, key)
    else:
        postings = [_posting(kind, body, references.chosen(body.reference_id, key))]
    await references.refuse_reuse(here, organization_id, kind.__name__, key, new_postings, named)
    outcomes = await here.coalescer.post(organization_id, postings)
    if all(isinstance(outcome, Posted) and outcome.replayed for outcome in outcomes):
        mark_replayed(response)
    by_key = [reference is None for reference in named]
    if isinstance(body, list):
        response.status_code = 200
        return await _outcomes(here, organization_id, postings, outcomes, by_key)
    [outcome] = outcomes
    if not isinstance(outcome, Posted):
        why = await _why_not(here, organization_id, outcomes)
        raise refusal(outcome, why, by_key=by_key[0])
    response.status_code = 200 if outcome.replayed else 201
    return EntryOut.of(outcome.entry, body.currency)


async def _outcomes(
    here: Context,
    organization_id: str,
    postings: Sequence[Posting],
    outcomes: Sequence[Outcome],
    by_key: Sequence[bool],
) -> PostingsOut:
    if any(isinstance(outcome, WalletNotFound) for outcome in outcomes):
        raise not_found("organization")
    why = await _why_not(here, organization_id, outcomes)
    return PostingsOut(
        outcomes=[
            _posting_out(posting, outcome, why, by_key=keyed)
            for posting, outcome, keyed in zip(postings, outcomes, by_key, strict=True)
        ]
    )


def _with_references(
    kind: Kind, new_postings: Sequence[PostingRequest], key: str | None
) -> list[Posting]:
    """Appends the place, counted from 1, to the key; the place in a field's name counts from 0."""
    postings = []
    for place, new_posting in enumerate(new_postings):
        keyed = None if key is None else f"{key}:{place + 1}"
        field = f"{place}.reference_id"
        reference = references.chosen(new_posting.reference_id, keyed, field)
        postings.append(_posting(kind, new_posting, reference))
    return postings


def _posting(kind: Kind, new_posting: PostingRequest, reference: str) -> Posting:
    return kind(reference, Money(new_posting.amount, new_posting.currency), new_posting.description)


async def _why_not(
    here: Context, organization_id: str, outcomes: Sequence[Outcome]
) -> Sequence[Reason]:
    if not any(isinstance(outcome, Suspended | Frozen | InsufficientFunds) for outcome in outcomes):
        return ()
    async with here.snapshot() as conn:
        return await explanations.why_not(conn, organization_id) or ()


def _posting_out(
    posting: Posting, outcome: Outcome, why: Sequence[Reason], *, by_key: bool
) -> BookedOut | RefusedOut:
    if isinstance(outcome, Posted):
        return BookedOut(
            reference_id=posting.reference_id,
            outcome="replayed" if outcome.replayed else "booked",
            entry=EntryOut.of(outcome.entry, posting.amount.currency),
        )
    problem = ProblemOut.model_validate(refusal(outcome, why, by_key=by_key).document)
    return RefusedOut(reference_id=posting.reference_id, outcome="refused", problem=problem)
