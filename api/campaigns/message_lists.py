"""Lists of messages: of an organization, the newest first, and of a campaign, in its order."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from api.campaigns.messages import PENDING, MessageOut
from api.context import CampaignId, Here, OrganizationId, parsed_uuid
from api.http.auth import READ
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import not_found
from api.http.fields import Moment
from db.campaigns import campaigns, message_lists
from db.campaigns.message_lists import Filters
from db.lifecycle import organizations
from domain.campaigns.campaign import MessageStatus

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["messages"])
_CURSORS: Cursors[tuple[datetime, UUID]] = Cursors("messages", tuple[AwareDatetime, UUID])
_CAMPAIGN_CURSORS: Cursors[int] = Cursors("campaign_messages", Number)


class ShownStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    LOST = "lost"
    SKIPPED = "skipped"


StatusFilter = Annotated[
    ShownStatus | None, Query(description="Only messages in this status.", examples=["lost"])
]
Recipient = Annotated[
    str | None,
    Query(
        pattern=r"^\+[1-9][0-9]{1,14}$",
        description="Only messages to this phone number.",
        examples=["+14155550100"],
    ),
]


class MessagePage(Page[MessageOut]):
    pass


@router.get("/messages", dependencies=[READ], operation_id="list_messages", summary="List messages")
async def of_organization(
    organization_id: OrganizationId,
    here: Here,
    *,
    status: StatusFilter = None,
    to: Recipient = None,
    created_after: Annotated[
        Moment | None, Query(description="Only messages that were created after this time.")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only messages that were created before this time.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> MessagePage:
    """Returns single messages and messages of campaigns, the newest first; with several filters,
    those that match all of them.
    """
    last = _CURSORS.read(cursor)
    filters = Filters(
        statuses=_statuses(status),
        recipient=to,
        created_after=created_after and created_after.astimezone(UTC),
        created_before=created_before and created_before.astimezone(UTC),
    )
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await message_lists.of_organization(
            conn, organization_id, filters, last=last, limit=limit + 1
        )
    shown, following = _CURSORS.cut(
        found, limit, lambda message: (message.created_at or datetime.now(UTC), message.id)
    )
    return MessagePage(data=[MessageOut.of(message) for message in shown], next_cursor=following)


@router.get(
    "/campaigns/{campaign_id}/messages",
    dependencies=[READ],
    operation_id="list_campaign_messages",
    summary="List the messages of a campaign",
)
async def of_campaign(
    organization_id: OrganizationId,
    campaign_id: CampaignId,
    here: Here,
    *,
    status: StatusFilter = None,
    to: Recipient = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> MessagePage:
    """Returns the messages in the order in which the campaign sends them."""
    after = _CAMPAIGN_CURSORS.read(cursor)
    filters = Filters(statuses=_statuses(status), recipient=to)
    id_ = parsed_uuid(campaign_id, "campaign")
    async with here.snapshot() as conn:
        if await campaigns.get(conn, organization_id, id_) is None:
            raise not_found("campaign")
        found = await message_lists.of_campaign(
            conn, organization_id, id_, filters, after=after, limit=limit + 1
        )
    shown, following = _CAMPAIGN_CURSORS.cut(found, limit, lambda message: message.position or 0)
    return MessagePage(data=[MessageOut.of(message) for message in shown], next_cursor=following)


def _statuses(status: ShownStatus | None) -> tuple[MessageStatus, ...]:
    if status is None:
        return tuple(MessageStatus)
    return PENDING if status is ShownStatus.PENDING else (MessageStatus(status.value),)
