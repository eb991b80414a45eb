"""Requests and answers about acts over many organizations."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.http.cursors import Page
from api.http.fields import (
    Amount,
    Body,
    Currency,
    CurrencyOut,
    Decimal,
    ReasonRequest,
    Time,
    Uuid,
    options,
)
from db.lifecycle import organization_lists
from db.lifecycle.organization_lists import Filters
from db.operations.bulk_acts import Target
from domain.lifecycle.standing import Block, Status
from domain.operations.bulk_act import BulkAct, BulkKind, BulkStatus, TargetStatus


class BulkFilter(Body):
    """Which organizations, as `GET /v1/organizations` finds them; at least one filter."""

    status: Status | None = Field(default=None, description="Only those in this status.")
    block: Block | None = Field(default=None, description="Only those that this blocks.")
    stuck: bool | None = Field(default=None, description="Only those with a refused step.")
    q: Annotated[str, Field(max_length=100)] | None = Field(
        default=None,
        description="Words of the id or the name, or the id of the subaccount or a subscription.",
        examples=["acme ltd"],
    )

    @model_validator(mode="after")
    def _something(self) -> "BulkFilter":
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        if self.q is not None and not organization_lists.words(self.q):
            raise ValueError("q contains no letter and no digit")
        return self

    def filters(self) -> Filters:
        """As the database is asked."""
        return Filters(
            status=self.status,
            block=self.block,
            stuck=self.stuck,
            words=organization_lists.words(self.q or ""),
            named=self.q or "",
        )


class BulkActRequest(ReasonRequest):
    """An act to preview. `amount` and `currency` are what a credit books for each organization."""

    act: BulkKind = Field(description="What to do.", examples=["credit"])
    filter: BulkFilter = Field(description="To which organizations.")
    amount: Amount | None = Field(default=None, description="For a credit: how much for each.")
    currency: Currency | None = Field(default=None, description="For a credit: ISO 4217 code.")

    @model_validator(mode="after")
    def _money(self) -> "BulkActRequest":
        named = self.amount is not None, self.currency is not None
        wanted = self.act is BulkKind.CREDIT
        if named != (wanted, wanted):
            raise ValueError("amount and currency are needed for a credit, and for nothing else")
        return self


class ConfirmationRequest(Body):
    """The preview that is confirmed."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] = Field(
        description="The `digest` of the preview.", examples=["0" * 64]
    )


class BulkActOut(BaseModel):
    """An act over many organizations, and how far it is."""

    model_config = ConfigDict(title="BulkAct")

    id: Uuid = Field(description="The id of the act.")
    act: str = Field(description="What it does.", json_schema_extra=options(BulkKind))
    filter: dict[str, str | bool] = Field(description="To which organizations.")
    reason: str = Field(description="Why.")
    amount: Decimal | None = Field(description="What each organization is credited.")
    currency: CurrencyOut | None = Field(description="ISO 4217 code.")
    organizations: int = Field(description="How many organizations it concerns.")
    total: Decimal | None = Field(description="The credits of all organizations together.")
    digest: str = Field(description="Names what was previewed; the confirmation repeats it.")
    status: str = Field(
        description="`previewed`: nothing was done; `running`; `done`.",
        json_schema_extra=options(BulkStatus),
    )
    previewed_by: str = Field(description="Who previewed it.")
    previewed_at: Time = Field(
        description="When it was previewed; it can be confirmed for an hour."
    )
    confirmed_by: str | None = Field(description="Who confirmed it.")
    confirmed_at: Time | None = Field(description="When it was confirmed.")
    finished_at: Time | None = Field(description="When the last organization was done.")

    @classmethod
    def of(cls, act: BulkAct) -> "BulkActOut":
        return cls.model_validate(_shown(act))


class BulkActProgressOut(BulkActOut):
    """An act over many organizations, with how many are done."""

    model_config = ConfigDict(title="BulkActProgress")

    pending: int = Field(description="Organizations that are not done.")
    done: int = Field(description="Organizations that are done.")
    refused: int = Field(description="Organizations that the act was refused for.")

    @classmethod
    def now(cls, act: BulkAct, counts: dict[TargetStatus, int]) -> "BulkActProgressOut":
        return cls.model_validate(
            _shown(act) | {status.value: number for status, number in counts.items()}
        )


class BulkActTargetOut(BaseModel):
    """One organization of an act over many."""

    model_config = ConfigDict(title="BulkActTarget")

    organization_id: str = Field(description="The organization.")
    status: str = Field(description="What became of it.", json_schema_extra=options(TargetStatus))
    detail: str = Field(description="Why it was refused.")
    done_at: Time | None = Field(description="When it was done or refused.")

    @classmethod
    def of(cls, target: Target) -> "BulkActTargetOut":
        return cls(
            organization_id=target.organization_id,
            status=target.status.value,
            detail=target.detail,
            done_at=target.done_at,
        )


class BulkActPage(Page[BulkActOut]):
    pass


class BulkActTargetPage(Page[BulkActTargetOut]):
    pass


def _shown(act: BulkAct) -> dict[str, object]:
    return {
        "id": str(act.id),
        "act": act.kind.value,
        "filter": act.filters,
        "reason": act.reason,
        "amount": act.amount and act.amount.micros,
        "currency": act.amount and act.amount.currency,
        "organizations": act.organizations,
        "total": act.total and act.total.micros,
        "digest": act.digest,
        "status": act.status.value,
        "previewed_by": act.previewed_by,
        "previewed_at": act.previewed_at,
        "confirmed_by": act.confirmed_by,
        "confirmed_at": act.confirmed_at,
        "finished_at": act.finished_at,
    }
