"""What operators did: who, when and why."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.context import Here
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.fields import Time, options
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct, Recorded
from domain.lifecycle.organization import ID_PATTERN

router = APIRouter(prefix="/v1/operator-acts", tags=["operations"])
_CURSORS: Cursors[int] = Cursors("operator_acts", Number)


class OperatorActOut(BaseModel):
    """Something that an operator did."""

    id: int = Field(description="Counts the acts.")
    at: Time = Field(description="When it was done.")
    by: str = Field(examples=["ops (key_0a1b2c3d4e5f)"], description="Who did it.")
    act: str = Field(
        examples=["delivery_dismissed"],
        description="What was done.",
        json_schema_extra=options(OperatorAct),
    )
    organization_id: str | None = Field(description="For which organization, if for one.")
    subject: str = Field(description="What it was done to.")
    reason: str = Field(description="Why it was done.")

    @classmethod
    def of(cls, recorded: Recorded) -> "OperatorActOut":
        return cls(
            id=recorded.id,
            at=recorded.at,
            by=recorded.by,
            act=recorded.act,
            organization_id=recorded.organization_id,
            subject=recorded.subject,
            reason=recorded.reason,
        )


class OperatorActPage(Page[OperatorActOut]):
    pass


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_operator_acts",
    summary="List what operators did",
)
async def page(
    here: Here,
    *,
    organization_id: Annotated[
        str | None,
        Query(pattern=f"^{ID_PATTERN}$", description="Only what was done for this organization."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> OperatorActPage:
    """Returns the acts that no other list records, the newest first: retries and dismissals of
    deliveries, retries of steps, refunds of messages, and acts over many organizations.
    """
    before = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await operator_acts.page(conn, organization_id, before=before, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda recorded: recorded.id)
    return OperatorActPage(
        data=[OperatorActOut.of(recorded) for recorded in shown], next_cursor=following
    )
