"""`tollgate bill`: what Twilio charged in a month, and who paid it. Read-only."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.table import Table

from api.carrier.bill import BillOut, costing_now
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.schema import configured, database_url
from db.carrier import bill
from db.lifecycle import organizations
from domain.carrier.bill import Apart, ApartSource, Bill, Line, Month, Total, month_of, parse_month
from domain.money import to_decimal_string
from runtime.database import create_engine, snapshot

_RED, _GREEN = "red", "green"
_APART = {
    ApartSource.FOREIGN_MESSAGES: "messages past Tollgate that Twilio's usage does not show yet",
    ApartSource.SEGMENTS: "segments that Twilio counted beyond ours",
}


def show(organization_id: str | None, month: str | None, *, as_json: bool) -> None:
    """Exit status 1 if something is unpaid, or if it does not add up."""
    chosen = month_of(datetime.now(UTC).date()) if month is None else parse_month(month)
    if chosen is None:
        raise CommandFailed("a month is written as 2026-11")
    with database_url(configured()) as url:
        found, messages = asyncio.run(_read(url, chosen, organization_id))
    if as_json:
        write(BillOut.of(found, messages).model_dump_json())
    else:
        output.print(lines_table(found.lines))
        for total in found.totals:
            identity(total)
        for each in found.apart:
            apart(each)
        if not found.totals:
            output.print(f"Twilio has charged nothing in {found.month}")
        for message in messages:
            output.print(message, highlight=False, soft_wrap=True)
    if not found.settled:
        raise typer.Exit(1)


def lines_table(lines: Sequence[Line]) -> Table:
    shown = table("category", "currency", "Twilio charged", "paid", "absorbed", "unpaid", "taken")
    for line in lines:
        unpaid = to_decimal_string(line.unpaid_micros)
        shown.add_row(
            f"{line.account_sid}: {line.account}" if line.account_sid else line.category,
            line.currency,
            to_decimal_string(line.charged_micros),
            to_decimal_string(line.paid_micros),
            to_decimal_string(line.absorbed_micros),
            f"[{_RED}]{unpaid}[/]" if line.unpaid_micros > 0 else unpaid,
            to_decimal_string(line.taken_micros),
        )
    return shown


def identity(total: Total) -> None:
    charged, paid, absorbed, unpaid, missing = (
        to_decimal_string(micros)
        for micros in (
            total.charged_micros,
            total.paid_micros,
            total.absorbed_micros,
            total.unpaid_micros,
            total.missing_micros,
        )
    )
    sentence = (
        f"Twilio's total {charged} {total.currency} = paid {paid} + absorbed {absorbed} + "
        f"unpaid {unpaid}"
    )
    if total.missing_micros:
        sentence += f"; {missing} of it is in no category"
    style = _GREEN if total.settled else _RED
    output.print(sentence, style=style, highlight=False, soft_wrap=True)


def apart(found: Apart) -> None:
    charged, owed, waived = (
        to_decimal_string(micros)
        for micros in (found.charged_micros, found.owed_micros, found.waived_micros)
    )
    sentence = (
        f"Besides, for {_APART[found.source]}: {charged} {found.currency} charged, {owed} of it "
        f"owed, {waived} waived"
    )
    style = _RED if found.owed_micros else ""
    output.print(sentence, style=style, highlight=False, soft_wrap=True)


async def _read(url: str, month: Month, organization_id: str | None) -> tuple[Bill, list[str]]:
    engine = create_engine(url, pool_size=1, application_name="tollgate bill")
    try:
        async with snapshot(engine) as conn:
            if (
                organization_id is not None
                and await organizations.get(conn, organization_id) is None
            ):
                raise CommandFailed(f"there is no organization {organization_id}")
            found = await bill.get(conn, month, organization_id)
            return found, await costing_now(conn, organization_id)
    finally:
        await engine.dispose()
