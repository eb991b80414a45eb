"""The schema's revision, and the oldest build that it still supports."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_TABLES = text("SELECT to_regclass('alembic_version'), to_regclass('schema_support')")
_REVISION = text("SELECT version_num FROM alembic_version")
_OLDEST_BUILD = text("SELECT oldest_build FROM schema_support")


@dataclass(frozen=True, slots=True)
class Schema:
    """`revision` is None in an empty database. A build that does not know the revision
    `oldest_build` must not run.
    """

    revision: str | None
    oldest_build: str | None = None


async def read(conn: AsyncConnection) -> Schema:
    """Also of a database that was migrated before there was such a table."""
    versions, support = (await conn.execute(_TABLES)).one()
    revision = None if versions is None else (await conn.execute(_REVISION)).scalar()
    if support is None:
        return Schema(revision)
    return Schema(revision, (await conn.execute(_OLDEST_BUILD)).scalar())
