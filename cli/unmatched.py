"""`tollgate unmatched`: messages that Twilio has, and no message here stands for."""

import json

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.console import errors, output, table, write
from cli.failures import CommandFailed
from cli.reasons import user
from cli.transactions import run
from db.campaigns import unmatched_messages
from db.campaigns.unmatched_messages import Unmatched
from db.lifecycle import organizations


def show_all(organization_id: str, *, as_json: bool) -> None:
    found = run(lambda conn: _open(conn, organization_id))
    if as_json:
        rows = [
            {
                "provider_sid": each.message_sid,
                "problem": each.problem,
                "listed": each.listed,
                "message_id": str(each.message_id) if each.message_id else None,
                "created_at": each.created_at.isoformat() if each.created_at else None,
            }
            for each in found
        ]
        write(json.dumps({"data": rows, "next_cursor": None}))
        return
    shown = table("at Twilio", "created", "reported by", "problem")
    for each in found:
        created = each.created_at.strftime("%Y-%m-%d %H:%M UTC") if each.created_at else ""
        by = "Twilio's list" if each.listed else "a callback"
        shown.add_row(each.message_sid, created, by, each.problem)
    output.print(shown)


def close(organization_id: str, sid: str, *, reason: str, by: str) -> None:
    closed = run(
        lambda conn: unmatched_messages.close(
            conn, organization_id, sid, by=by or user(), because=reason
        )
    )
    if not closed:
        errors.print(f"{sid} is not open", style="red")
        raise typer.Exit(1)
    output.print(f"closed {sid}")


async def _open(conn: AsyncConnection, organization_id: str) -> list[Unmatched]:
    if await organizations.get(conn, organization_id) is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    return await unmatched_messages.open_ones(conn, organization_id)
