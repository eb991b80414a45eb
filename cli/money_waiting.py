"""`tollgate money-waiting` and `tollgate at-risk`: what needs a person, and by when."""

from datetime import UTC, datetime, timedelta

from api.operations.at_risk import RiskOut, RiskPage
from api.operations.money_waiting import MoneyWaitingOut, MoneyWaitingPage
from cli.console import output, table, write
from cli.transactions import run
from db.operations import at_risk, money_waiting

MOST = 10_000


def show(limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: money_waiting.page(conn, after=None, limit=limit))
    if as_json:
        rows = [MoneyWaitingOut.of(waiting) for waiting in found]
        write(MoneyWaitingPage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table(
        "since", "kind", "organization", "reference", "amount", "payer", "answer by", "why", "to do"
    )
    for waiting in found:
        shown.add_row(
            _at(waiting.since),
            waiting.kind.value,
            waiting.organization_id or waiting.custom_id or "",
            waiting.reference,
            str(waiting.amount or ""),
            waiting.payer,
            _at(waiting.deadline) if waiting.deadline else "",
            waiting.why,
            waiting.to_do,
        )
    output.print(shown)
    total = ", ".join(str(amount) for amount in money_waiting.sums(found)) or "no known amount"
    output.print(f"{len(found)} in all, {total}")


def show_risks(days: int, *, as_json: bool) -> None:
    now = datetime.now(UTC)
    until = now + timedelta(days=days)
    found = run(lambda conn: at_risk.page(conn, now=now, until=until, after=None, limit=MOST))
    if as_json:
        write(
            RiskPage(data=[RiskOut.of(risk) for risk in found], next_cursor=None).model_dump_json()
        )
        return
    shown = table("deadline", "kind", "organization", "reference", "amount", "what happens then")
    for risk in found:
        shown.add_row(
            _at(risk.deadline),
            risk.kind.value,
            risk.organization_id or "(all)",
            risk.reference,
            str(risk.amount or ""),
            risk.consequence,
        )
    output.print(shown)


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
