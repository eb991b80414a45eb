"""`tollgate organizations`: those that filters find, with the figures of a list; a retry of one,
and a balance set back to the ledger.
"""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.lifecycle.list_fields import ListedOrganizationOut, ListedOrganizationPage
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.reasons import checked, user
from cli.transactions import run
from db.lifecycle import organization_lists
from db.lifecycle.organization_lists import Filters, Listed, Place
from db.operations import balances, step_retries
from db.operations.step_retries import NothingStuck
from domain.lifecycle.order import Order
from domain.money import to_decimal_string

PAGE = 500


def show(filters: Filters, order: Order, limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: _read(conn, filters, order, limit))
    if as_json:
        rows = [ListedOrganizationOut.listed(each) for each in found]
        write(ListedOrganizationPage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table("id", "name", "status", "blocks", "since", "balance", "owed", "parked", "stuck")
    for each in found:
        figures, currency = each.figures, each.organization.currency
        shown.add_row(
            each.organization.id,
            each.organization.name,
            each.standing.status.value,
            ", ".join(sorted(each.standing.blocks)),
            figures.since.strftime("%Y-%m-%d %H:%M UTC"),
            f"{to_decimal_string(figures.balance_micros)} {currency}",
            f"{to_decimal_string(figures.owed_micros)} {currency}" if figures.owed_micros else "",
            str(figures.parked_campaigns or ""),
            figures.stuck_step or "",
        )
    output.print(shown)


async def _read(conn: AsyncConnection, filters: Filters, order: Order, limit: int) -> list[Listed]:
    found: list[Listed] = []
    after: Place | None = None
    while len(found) < limit:
        wanted = min(PAGE, limit - len(found))
        page = await organization_lists.page(conn, filters, order=order, after=after, limit=wanted)
        found += page
        if len(page) < wanted:
            break
        after = organization_lists.place_of(page[-1], order)
    return found


def retry(organization_id: str, *, reason: str, by: str) -> None:
    why = checked(reason)
    try:
        standing = run(
            lambda conn: step_retries.retry(conn, organization_id, by=by or user(), reason=why)
        )
    except NothingStuck as problem:
        raise CommandFailed(f"nothing to retry for {organization_id}: {problem}") from None
    if standing is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    output.print(f"{organization_id} is tried again")


def restore_balance(organization_id: str, *, second: str, reason: str, by: str) -> None:
    why, who = checked(reason), by or user()
    try:
        was, becomes = run(
            lambda conn: balances.restore(conn, organization_id, by=who, second=second, reason=why)
        )
    except balances.NotRestored as problem:
        raise CommandFailed(f"not restored: {problem}") from None
    except IntegrityError:
        raise CommandFailed("not restored: open holds are more than the ledger's balance") from None
    output.print(f"the balance of {organization_id} was {was}, and is {becomes} again")
