"""Events: what happened, listed for whoever missed a webhook or has no endpoint."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from api.context import Here
from api.http.auth import READ
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import invalid, not_found
from api.http.fields import Time
from db.events import listing
from db.events.listing import Event, Filters
from domain.events.catalogue import EventType, shown, version_of
from domain.lifecycle.organization import is_organization_id

router = APIRouter(prefix="/v1/events", tags=["events"])
_CURSORS: Cursors[int] = Cursors("events", Number)
EventId = Annotated[
    str, Path(description="The id of the event.", examples=["evt_0195f1d26d3a7c419b1e3f0a5c7d2e90"])
]


class EventOut(BaseModel):
    """What happened, once. It is thin: the rest is read by GET."""

    id: str = Field(
        description="The same in every delivery.",
        examples=["evt_0195f1d26d3a7c419b1e3f0a5c7d2e90"],
    )
    type: str = Field(
        description="What happened; the types are listed in the reference of events.",
        examples=["organization.suspended"],
    )
    version: int = Field(
        description="Of the type's data: it grows when a field changes its meaning."
    )
    organization_id: str | None = Field(
        description="The organization; null for an event of the whole installation."
    )
    occurred_at: Time = Field(description="When it happened.")
    data: dict[str, Any] = Field(description="The fields of the type.")

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        return cls(
            id=event.id,
            type=event.type,
            version=version_of(event.type),
            organization_id=event.organization_id,
            occurred_at=event.occurred_at,
            data=shown(event.type, event.data),
        )


class EventPage(Page[EventOut]):
    pass


@router.get("", dependencies=[READ], operation_id="list_events", summary="List events")
async def list_all(
    here: Here,
    type_: Annotated[
        EventType | None, Query(alias="type", description="Only events of this type.")
    ] = None,
    organization_id: Annotated[
        str | None, Query(description="Only events of this organization.")
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only events that happened at that time or later.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> EventPage:
    """Returns events, the newest first. A new event may appear below one that was listed before:
    transactions do not end in the order in which they began.
    """
    before = _CURSORS.read(cursor)
    if organization_id is not None and not is_organization_id(organization_id):
        raise invalid("organization_id", "not an id of an organization")
    filters = Filters(type=type_, organization_id=organization_id, since=since)
    async with here.snapshot() as conn:
        found = await listing.page(conn, filters, before=before, limit=limit + 1)
    cut, following = _CURSORS.cut(found, limit, lambda event: event.sequence)
    return EventPage(data=[EventOut.of(event) for event in cut], next_cursor=following)


@router.get("/{event_id}", dependencies=[READ], operation_id="get_event", summary="Get an event")
async def get(event_id: EventId, here: Here) -> EventOut:
    """Returns one event, as long as it is kept."""
    async with here.snapshot() as conn:
        event = None if "\0" in event_id else await listing.get(conn, event_id)
    if event is None:
        raise not_found("event")
    return EventOut.of(event)
