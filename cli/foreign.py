"""`tollgate foreign`: messages that a subaccount sent past Tollgate, or received."""

from sqlalchemy.ext.asyncio import AsyncConnection

from api.carrier.foreign_messages import ForeignMessageOut, ForeignMessagePage
from cli.console import output, write
from cli.explanation import foreign_table
from cli.failures import CommandFailed
from cli.transactions import run
from db.carrier import foreign_messages
from db.carrier.foreign_messages import Found
from db.lifecycle import organizations


def show(organization_id: str, limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: _newest(conn, organization_id, limit))
    if as_json:
        rows = [ForeignMessageOut.of(each) for each in found]
        write(ForeignMessagePage(data=rows, next_cursor=None).model_dump_json())
        return
    output.print(foreign_table(found))


async def _newest(conn: AsyncConnection, organization_id: str, limit: int) -> list[Found]:
    if await organizations.get(conn, organization_id) is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    return await foreign_messages.newest(conn, organization_id, limit=limit)
