"""What wallets and ledger entries look like on the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from api.http.cursors import Page
from api.http.errors import ProblemOut
from api.http.fields import Amount, Body, Currency, Decimal, Note, Reference, Time
from db.wallet.wallets import Booked
from domain.redaction import redact_text
from domain.wallet.entries import Entry
from domain.wallet.ledger import Wallet

MOST = 1_000
"""Postings in one list."""


class PostingRequest(Body):
    """The reference counts once: the same again is answered again, other content is a conflict.

    Without one, the header `Idempotency-Key` is the reference; in a list followed by a colon and
    the place, from 1.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reference_id": "order-991", "amount": "12.50", "currency": "USD"}]
        }
    )

    reference_id: Reference | None = None
    amount: Amount
    currency: Currency
    description: Note = ""


def _form(body: object) -> str:
    return "list" if isinstance(body, list) else "one"


PostingsRequest = Annotated[
    Annotated[PostingRequest, Tag("one")]
    | Annotated[list[PostingRequest], Field(min_length=1, max_length=MOST), Tag("list")],
    Discriminator(_form),
]
"""One posting, or up to a thousand that are decided one after the other."""


class WalletOut(BaseModel):
    """It pays while its gate is open and nobody has frozen it."""

    organization_id: str
    balance: Decimal
    held: Decimal = Field(description="What open holds have set aside.")
    available: Decimal = Field(
        description="The balance without what is held: what a debit may take."
    )
    receivable: Decimal = Field(
        description="What it owes: payers got it back, and it was spent. The next top-up covers it first."
    )
    currency: str
    gate: Literal["open", "shut"]
    frozen: bool
    frozen_by: list[Literal["suspension", "operator"]]
    freeze_reason: str | None
    entries: int = Field(description="How many ledger entries it has.")

    @classmethod
    def of(cls, wallet: Wallet, owed_micros: int) -> "WalletOut":
        by: list[Literal["suspension", "operator"]] = []
        if wallet.frozen_by_suspension:
            by.append("suspension")
        if wallet.frozen_by_operator:
            by.append("operator")
        return cls(
            organization_id=wallet.organization_id,
            balance=wallet.balance_micros,
            held=wallet.held_micros,
            available=wallet.available_micros,
            receivable=owed_micros,
            currency=wallet.currency,
            gate="open" if wallet.gate_open else "shut",
            frozen=wallet.frozen,
            frozen_by=by,
            freeze_reason=wallet.freeze_reason if wallet.frozen else None,
            entries=wallet.entries,
        )


class EntryOut(BaseModel):
    """`amount` is signed: what left the wallet is negative. `seq` counts the wallet's entries from
    1 without a gap.
    """

    seq: int
    kind: str = Field(
        examples=["debit"],
        description="`credit`, `debit`, `refund` of a debit, `reversal` of a top-up, or `recovery` of what is owed.",
    )
    amount: Decimal
    currency: str
    balance_after: Decimal
    reference_id: str
    refunds: str | None
    description: str
    created_at: Time | None = None

    @classmethod
    def of(cls, entry: Entry, currency: str, booked: Booked | None = None) -> "EntryOut":
        return cls(
            seq=entry.seq,
            kind=entry.kind.value,
            amount=entry.amount_micros,
            currency=currency,
            balance_after=entry.balance_after_micros,
            reference_id=entry.reference_id,
            refunds=entry.refunds,
            description=_described(entry),
            created_at=booked.created_at if booked else None,
        )


class EntryPage(Page[EntryOut]):
    pass


def _described(entry: Entry) -> str:
    """What a caller wrote is told as it is; Twilio's words in refunds of earlier releases name the
    recipient.
    """
    of_ours = entry.reference_id.startswith("refund:message:")
    return redact_text(entry.description) if of_ours else entry.description


class PostingOut(BaseModel):
    """What became of one posting of a list: its entry, or the problem that it would have been
    answered with alone.
    """

    model_config = ConfigDict(title="PostingOutcome")

    reference_id: str
    outcome: Literal["booked", "replayed", "refused"] = Field(
        description="`replayed`: the same was booked before, and nothing is booked now."
    )
    entry: EntryOut | None = None
    problem: ProblemOut | None = None


class PostingsOut(BaseModel):
    """One outcome for each posting, in the order of the list."""

    model_config = ConfigDict(title="PostingOutcomes")

    outcomes: list[PostingOut]
