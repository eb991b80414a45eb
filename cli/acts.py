"""`tollgate acts`: what operators did."""

from api.operations.operator_acts import OperatorActOut, OperatorActPage
from cli.console import output, table, write
from cli.transactions import run
from db.operations import operator_acts


def show(organization_id: str | None, limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: operator_acts.page(conn, organization_id, before=None, limit=limit))
    if as_json:
        rows = [OperatorActOut.of(recorded) for recorded in found]
        write(OperatorActPage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table("when", "who", "act", "organization", "subject", "reason")
    for recorded in found:
        shown.add_row(
            recorded.at.strftime("%Y-%m-%d %H:%M UTC"),
            recorded.by,
            recorded.act,
            recorded.organization_id or "",
            recorded.subject,
            recorded.reason,
        )
    output.print(shown)
