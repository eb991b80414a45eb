"""A server that was demoted to a standby keeps its connections and refuses every write.

Such a connection is dropped together with its pool: new ones find the server that took over.
"""

import psycopg
from sqlalchemy import event, text
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

READ_ONLY = "25006"
"""PostgreSQL's read_only_sql_transaction: the statement was not executed."""
_PROVE = text(
    """
    SELECT CASE WHEN current_setting('transaction_read_only') = 'off'
                THEN pg_logical_emit_message(true, 'tollgate', 'writable') END IS NOT NULL
    """
)


def is_read_only(problem: BaseException | None) -> bool:
    """Whether a statement failed because the server, or the session, takes no writes."""
    return isinstance(problem, psycopg.Error) and problem.sqlstate == READ_ONLY


def unavailable(problem: BaseException) -> OperationalError:
    """The error of a server that is away, since nothing was booked and it may be repeated."""
    return OperationalError(None, None, problem, hide_parameters=True)


def drop_when_demoted(engine: Engine) -> None:
    """Drop all connections of the pool when a statement is refused because of it."""

    @event.listens_for(engine, "handle_error")
    def note(context: ExceptionContext) -> OperationalError | None:
        if not is_read_only(context.original_exception):
            return None
        context.is_disconnect = True
        return unavailable(context.original_exception)

    @event.listens_for(engine, "checkout")
    def take_the_default(
        connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # after a read-only snapshot, SQLAlchemy begins each transaction as READ WRITE, which
        # overrides the server's default and is another error on a standby
        if getattr(connection, "read_only", None) is False:
            engine.dialect.set_readonly(connection, None)  # type: ignore[attr-defined]


async def can_write(conn: AsyncConnection) -> bool:
    """Write a few bytes to the write-ahead log, in no table; the caller commits, which waits until
    they are on disk, and on a synchronous standby where there is one.
    """
    return bool((await conn.execute(_PROVE)).scalar_one())
