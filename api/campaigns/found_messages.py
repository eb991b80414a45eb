"""Messages of all organizations, for an operator who knows Twilio's id or a phone number."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from api.campaigns.message_lists import Recipient
from api.campaigns.messages import MessageOut
from api.context import Here
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import invalid
from api.http.fields import Moment, Reference
from db.campaigns import found_messages
from db.campaigns.found_messages import Place, Sought
from db.campaigns.messages import Message

router = APIRouter(prefix="/v1/messages", tags=["messages"])
_CURSORS: Cursors[Place] = Cursors("found_messages", tuple[AwareDatetime, Reference, UUID])
SID = "^(SM|MM)[0-9a-f]{32}$"


class FoundMessageOut(MessageOut):
    """A message, and the organization that sent it."""

    organization_id: str = Field(description="The organization that sent it.")

    @classmethod
    def found(cls, message: Message) -> "FoundMessageOut":
        return cls(**dict(MessageOut.of(message)), organization_id=message.organization_id)


class FoundMessagePage(Page[FoundMessageOut]):
    pass


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_found_messages",
    summary="Find messages of all organizations",
)
async def page(
    here: Here,
    *,
    sid: Annotated[
        str | None,
        Query(
            pattern=SID,
            description="Only the message with this id at Twilio.",
            examples=["SM0123456789abcdef0123456789abcdef"],
        ),
    ] = None,
    to: Recipient = None,
    since: Annotated[
        Moment | None, Query(description="Only messages that were created at this time or later.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> FoundMessagePage:
    """Returns the messages with this id or to this phone number, the newest first. One of `sid` and
    `to` is needed.
    """
    last = _CURSORS.read(cursor)
    if sid is None and to is None:
        raise invalid("sid", "this or `to` is needed: messages are found by one of them")
    sought = Sought(sid=sid, recipient=to, since=since and since.astimezone(UTC))
    async with here.snapshot() as conn:
        found = await found_messages.page(conn, sought, last=last, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, _place)
    return FoundMessagePage(
        data=[FoundMessageOut.found(message) for message in shown], next_cursor=following
    )


def _place(message: Message) -> Place:
    return message.created_at or datetime.now(UTC), message.organization_id, message.id
