"""Requests and answers about wallets and ledger entries."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from api.http.cursors import Page
from api.http.errors import ProblemOut
from api.http.fields import Amount, Body, Currency, CurrencyOut, Decimal, Note, Reference, Time
from db.wallet.ledger import Booked
from domain.redaction import redact_text
from domain.wallet.debts import Owed
from domain.wallet.entries import Entry
from domain.wallet.ledger import Wallet

MOST = 1_000
"""Postings in one list."""


class PostingRequest(Body):
    """A credit or debit. It is booked once for each reference: repeating it returns the same entry;
    other content is a conflict.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reference_id": "order-991", "amount": "12.50", "currency": "USD"}]
        }
    )

    reference_id: Reference | None = Field(
        default=None,
        description=(
            "Identifies the posting. Without it the header `Idempotency-Key` is the "
            "reference; in a list followed by a colon and the place, counted from 1."
        ),
    )
    amount: Amount = Field(description="More than zero.")
    currency: Currency = Field(description="The currency of the wallet.")
    description: Note = Field(default="", description="For people.")


def _form(body: object) -> str:
    return "list" if isinstance(body, list) else "one"


PostingsRequest = Annotated[
    Annotated[PostingRequest, Tag("one")]
    | Annotated[list[PostingRequest], Field(min_length=1, max_length=MOST), Tag("list")],
    Discriminator(_form),
]
"""One posting, or up to a thousand that are decided in order."""


class WalletOut(BaseModel):
    """A wallet. It pays while its gate is open and it is not frozen."""

    organization_id: str = Field(description="The id of the organization.")
    balance: Decimal = Field(description="What was credited and not debited.")
    held: Decimal = Field(description="What open holds set aside.")
    available: Decimal = Field(description="The balance without `held`: what a debit may take.")
    receivable: Decimal = Field(
        description=(
            "What the organization owes because payments were reversed after the money was "
            "spent, or because the wallet could not pay what Twilio charged; the next top-up covers "
            "it first."
        )
    )
    receivable_for_carrier: Decimal = Field(
        description="The part of `receivable` that Twilio charged; it is covered before the rest."
    )
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    gate: Literal["open", "shut"] = Field(description="`shut` while the organization is suspended.")
    frozen: bool = Field(description="Whether it is frozen.")
    frozen_by: list[Literal["suspension", "operator"]] = Field(description="Who froze it.")
    freeze_reason: str | None = Field(
        description="Why it is frozen; null if it is not, or for keys that may not read it."
    )
    entries: int = Field(description="How many ledger entries it has.")

    @classmethod
    def of(cls, wallet: Wallet, owed: Owed) -> "WalletOut":
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
            receivable=owed.total,
            receivable_for_carrier=owed.carrier,
            currency=wallet.currency,
            gate="open" if wallet.gate_open else "shut",
            frozen=wallet.frozen,
            frozen_by=by,
            freeze_reason=wallet.freeze_reason if wallet.frozen else None,
            entries=wallet.entries,
        )


class EntryOut(BaseModel):
    """A ledger entry."""

    seq: int = Field(description="Counts the entries of the wallet from 1, without gaps.")
    kind: str = Field(
        examples=["debit"],
        description=(
            "`credit`, `debit`, `refund` of a debit, `reversal` of a top-up, `recovery` of a debt, "
            "`carrier_charge` for what Twilio billed, or `carrier_refund` of such charges."
        ),
    )
    amount: Decimal = Field(description="Signed: negative if it left the wallet.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    balance_after: Decimal = Field(description="The balance after this entry.")
    reference_id: str = Field(description="The reference that it was booked with.")
    refunds: str | None = Field(description="The reference of the debit that a refund returns.")
    description: str = Field(description="For people.")
    created_at: Time | None = Field(default=None, description="When it was booked.")

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
    """Callers' descriptions are returned unchanged. Refunds of earlier releases contain Twilio's
    message, which names the recipient.
    """
    of_ours = entry.reference_id.startswith("refund:message:")
    return redact_text(entry.description) if of_ours else entry.description


class BookedOut(BaseModel):
    """One posting of a list that is booked."""

    model_config = ConfigDict(title="BookedPosting")

    reference_id: str = Field(description="The reference of the posting.")
    outcome: Literal["booked", "replayed"] = Field(
        description="`replayed`: the same posting was booked before, and nothing was booked now."
    )
    entry: EntryOut


class RefusedOut(BaseModel):
    """One posting of a list that is not booked."""

    model_config = ConfigDict(title="RefusedPosting")

    reference_id: str = Field(description="The reference of the posting.")
    outcome: Literal["refused"] = Field(description="Nothing was booked.")
    problem: ProblemOut = Field(description="What this posting alone would have been answered.")


PostingOut = Annotated[BookedOut | RefusedOut, Field(discriminator="outcome")]


class PostingsOut(BaseModel):
    """One outcome for each posting, in the order of the list."""

    model_config = ConfigDict(title="PostingOutcomes")

    outcomes: list[PostingOut] = Field(description="The outcomes.")
