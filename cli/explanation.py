"""`tollgate explain`: why an organization may or may not send: first sentences, then the facts
behind them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import typer
from rich.console import Console
from rich.table import Table

from api.audit.sentences import story
from cli.console import errors, output, table
from cli.schema import configured, database_url
from db.audit import explanations
from db.audit.explanations import Explanation
from db.carrier.foreign_messages import Found
from db.lifecycle.receipts import Receipt
from domain.plain_text import one_line
from runtime.database import create_engine, snapshot


def explain(organization: str) -> None:
    with database_url(configured()) as url:
        explanation = asyncio.run(_ask(url, organization))
    if explanation is None:
        errors.print(f"there is no organization {organization}", style="red", highlight=False)
        raise typer.Exit(1)
    show(explanation, output)


async def _ask(url: str, organization_id: str) -> Explanation | None:
    engine = create_engine(url, pool_size=1, application_name="tollgate explain")
    try:
        async with snapshot(engine) as conn:
            return await explanations.explain(conn, organization_id)
    finally:
        await engine.dispose()


def show(explanation: Explanation, console: Console) -> None:
    for sentence in story(explanation):
        console.print(one_line(sentence), markup=False, highlight=False, soft_wrap=True)
    if explanation.receipts:
        console.print()
        for receipt in explanation.receipts:
            show_receipt(receipt, console)
    if explanation.campaigns:
        campaigns = table("campaign", "name", "status", "reason", "next message", "of")
        for explained in explanation.campaigns:
            campaign = explained.campaign
            position = str(explained.position) if explained.position else "all handed over"
            campaigns.add_row(
                str(campaign.id),
                campaign.name,
                campaign.status.value,
                campaign.reason,
                position,
                str(campaign.total),
            )
        console.print(campaigns)
    if explanation.deliveries:
        webhooks = table("webhook", "event", "received", "times", "status", "outcome")
        for delivery in explanation.deliveries:
            webhooks.add_row(
                delivery.event_type,
                delivery.event_id,
                _at(delivery.received_at),
                str(delivery.deliveries),
                delivery.status.value,
                delivery.outcome,
            )
        console.print(webhooks)
    if explanation.foreign_messages:
        console.print(foreign_table(explanation.foreign_messages))


def foreign_table(found: Sequence[Found]) -> Table:
    """Messages that Tollgate did not hand over."""
    shown = table("at Twilio", "when", "direction", "number", "segments", "price", "charged")
    for each in found:
        shown.add_row(
            each.message_sid,
            _at(each.happened_at) if each.happened_at else "",
            each.direction.value,
            each.number if each.listed else "named by a callback only",
            str(each.segments or ""),
            str(each.price or ""),
            "yes" if each.charged else "no",
        )
    return shown


def show_receipt(receipt: Receipt, console: Console) -> None:
    """One suspension or reactivation: each step with its time, and what leaked."""
    console.print(
        one_line(f"Epoch {receipt.epoch}: {receipt.status.value}, by {receipt.cause}"), style="bold"
    )
    steps = table("step", "done after", "result")
    for step in receipt.steps:
        since = datetime.fromisoformat(step["finished_at"]) - receipt.decided_at
        steps.add_row(step["step"], f"{since.total_seconds() * 1000:.0f} ms", step["detail"])
    if receipt.finished_at is None:
        steps.add_row("not finished", "", "")
    elif receipt.leaked_debits is not None:
        steps.add_row(
            "leaked", "", f"{receipt.leaked_debits} debits, {receipt.leaked_messages} messages"
        )
    console.print(steps)


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
