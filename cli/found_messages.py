"""`tollgate messages`: messages of all organizations by Twilio's id or recipient; a refund of one."""

import re
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api.campaigns.found_messages import SID, FoundMessageOut, FoundMessagePage
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.reasons import checked, user
from cli.transactions import run
from db.campaigns import found_messages, messages
from db.campaigns.found_messages import Sought
from db.campaigns.messages import Message
from db.operations import goodwill
from db.operations.goodwill import AlreadyRefunded, NotFinal


def show(
    sid: str | None, to: str | None, since: datetime | None, limit: int, *, as_json: bool
) -> None:
    begins = since and since.replace(tzinfo=UTC)
    sought = Sought(sid=sid, recipient=to, since=begins)
    found = run(lambda conn: found_messages.page(conn, sought, last=None, limit=limit))
    rows = [FoundMessageOut.found(message) for message in found]
    if as_json:
        write(FoundMessagePage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table("organization", "message", "at Twilio", "created", "status", "delivery", "price")
    for message in found:
        created = message.created_at.strftime("%Y-%m-%d %H:%M UTC") if message.created_at else ""
        shown.add_row(
            message.organization_id,
            str(message.id),
            message.provider_sid or "",
            created,
            message.status.value,
            message.delivery_status or "",
            str(message.price),
        )
    output.print(shown)


def refund(organization_id: str, named: str, *, reason: str, by: str) -> None:
    why = checked(reason)
    message = run(lambda conn: _refund(conn, organization_id, named, by or user(), why))
    output.print(f"gave back {message.price} for {message.id}")


async def _refund(
    conn: AsyncConnection, organization_id: str, named: str, by: str, reason: str
) -> Message:
    message = await _find(conn, organization_id, named)
    if message is None:
        raise CommandFailed(f"{organization_id} has no message {named}")
    try:
        await goodwill.give_back(conn, message, by=by, reason=reason)
    except (AlreadyRefunded, NotFinal) as problem:
        raise CommandFailed(f"not refunded: {problem}") from None
    return message


async def _find(conn: AsyncConnection, organization_id: str, named: str) -> Message | None:
    if re.fullmatch(SID, named):
        return await messages.by_provider_sid(conn, organization_id, named)
    try:
        return await messages.get(conn, organization_id, UUID(named))
    except ValueError:
        return None
