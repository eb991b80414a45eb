"""What was told, as the host application reads it."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events.catalogue import shown
from tests.builders import ORGANIZATION, rows


async def events_told(engine: AsyncEngine, *types: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of the organization, with their data as it is shown; only of these types if
    given.
    """
    found = await rows(
        engine,
        "SELECT type, data FROM events WHERE organization_id = :of ORDER BY sequence",
        of=ORGANIZATION,
    )
    return [
        (row.type, shown(row.type, row.data)) for row in found if row.type in types or not types
    ]


async def data_of(engine: AsyncEngine, type_: str) -> list[dict[str, Any]]:
    return [data for _, data in await events_told(engine, type_)]
