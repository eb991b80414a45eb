"""Messages that a subaccount sent past Tollgate, or received: listed, the newest first."""

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from api.context import Here, OrganizationId
from api.http.auth import READ
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import not_found
from api.http.fields import Time, options
from db.carrier import foreign_messages
from db.carrier.foreign_messages import Found
from db.lifecycle import organizations
from domain.carrier.foreign import Direction
from domain.money import to_decimal_string

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["messages"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors("foreign_messages", tuple[AwareDatetime, str])


class ForeignMessageOut(BaseModel):
    """A message that Tollgate did not hand over to Twilio. Its text is not stored."""

    provider_sid: str = Field(description="Twilio's id of the message.")
    direction: str = Field(
        description="`outbound`: sent with the subaccount's own credentials.",
        json_schema_extra=options(Direction),
    )
    channel: str = Field(examples=["sms"], description="How it went: `sms`, `mms`, `rcs`, …")
    number: str = Field(examples=["+1415***00"], description="The other party's number, masked.")
    segments: int | None = Field(description="Its segments, as Twilio counts; null if unknown.")
    status: str | None = Field(
        examples=["delivered"], description="The status that Twilio last reported, if it is known."
    )
    provider_price: str | None = Field(
        examples=["0.0075"], description="What Twilio charged for it; null until it is known."
    )
    provider_currency: str | None = Field(description="The currency of that price.")
    listed: bool = Field(
        description="Whether Twilio lists it. If not, only a callback named it, which may be "
        "forged: nothing is charged for it."
    )
    charged: bool = Field(
        description="Whether it is charged as the policy of its category says: by a charge of its "
        "own, which is returned once the usage of its day is charged, or by that usage."
    )
    happened_at: Time = Field(description="When it was sent or received.")
    found_at: Time = Field(description="When Tollgate found it.")

    @classmethod
    def of(cls, found: Found) -> "ForeignMessageOut":
        return cls(
            provider_sid=found.message_sid,
            direction=found.direction.value,
            channel=found.channel,
            number=found.number,
            segments=found.segments,
            status=found.status,
            provider_price=found.price and to_decimal_string(found.price.micros),
            provider_currency=found.price and found.price.currency,
            listed=found.listed,
            charged=found.charged,
            happened_at=found.happened_at or datetime.now(UTC),
            found_at=found.found_at,
        )


class ForeignMessagePage(Page[ForeignMessageOut]):
    pass


@router.get(
    "/foreign-messages",
    dependencies=[READ],
    operation_id="list_foreign_messages",
    summary="List messages that Tollgate did not send",
)
async def foreign(
    organization_id: OrganizationId, here: Here, cursor: Cursor = None, limit: Limit = 100
) -> ForeignMessagePage:
    """Returns messages that the subaccount sent past Tollgate, or received, the newest first."""
    before = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await foreign_messages.newest(conn, organization_id, before=before, limit=limit + 1)
    shown, following = _CURSORS.cut(
        found, limit, lambda each: (each.happened_at or datetime.now(UTC), each.message_sid)
    )
    return ForeignMessagePage(
        data=[ForeignMessageOut.of(each) for each in shown], next_cursor=following
    )
