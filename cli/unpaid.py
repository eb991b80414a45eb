"""`tollgate unpaid`: messages that Twilio sent although they were refunded, and the charge for
one.
"""

import json
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.console import errors, output, table, write
from cli.failures import CommandFailed
from cli.transactions import run
from db.audit import explanations
from db.campaigns import unpaid_sends
from db.campaigns.unpaid_sends import NothingUnpaid, UnpaidSend
from db.lifecycle import organizations
from domain.wallet import refusals
from domain.wallet.ledger import Debited

MOST = 10_000


def show_all(organization_id: str, *, as_json: bool) -> None:
    sends = run(lambda conn: _open(conn, organization_id))
    if as_json:
        rows = [
            {
                "message_id": str(send.message_id),
                "attempt": send.attempt,
                "provider_sid": send.message_sid,
                "delivery_status": send.delivery_status,
                "found_at": send.found_at.isoformat(),
            }
            for send in sends
        ]
        write(json.dumps({"data": rows, "next_cursor": None}))
        return
    shown = table("message", "attempt", "at Twilio", "status", "found")
    for send in sends:
        found_at = send.found_at.strftime("%Y-%m-%d %H:%M UTC")
        shown.add_row(
            str(send.message_id),
            str(send.attempt),
            send.message_sid,
            send.delivery_status,
            found_at,
        )
    output.print(shown)


def charge(organization_id: str, message_id: UUID) -> None:
    try:
        run(lambda conn: _charge(conn, organization_id, message_id))
    except NothingUnpaid as problem:
        errors.print(str(problem), style="red")
        raise typer.Exit(1) from None
    output.print(f"charged {message_id}")


async def _open(conn: AsyncConnection, organization_id: str) -> list[UnpaidSend]:
    if await organizations.get(conn, organization_id) is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    return await unpaid_sends.open_ones(conn, organization_id, limit=MOST)


async def _charge(conn: AsyncConnection, organization_id: str, message_id: UUID) -> None:
    message, outcome = await unpaid_sends.charge(conn, organization_id, message_id)
    if message is None or outcome is None:
        raise CommandFailed(f"{organization_id} has no message {message_id}")
    if not isinstance(outcome, Debited):
        reasons = await explanations.why_not(conn, organization_id) or ()
        words = [refusals.in_words(outcome), *(reason.text for reason in reasons)]
        raise CommandFailed(f"not charged: {'; '.join(words)}")
