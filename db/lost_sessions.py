"""Sessions that are of no use any more are dropped together with their pool: new ones find the
server that took over.

A server that was demoted to a standby keeps its sessions and refuses every write. A session that
ended behind a pooler is reported before its connection is closed.
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
_ENDED = ("08", "57P0", "25P03")
"""How the codes begin of a session that ends with the error: connection_exception, admin_shutdown
and its like, idle_in_transaction_session_timeout.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""
_PROVE = text(
    """
    SELECT CASE WHEN current_setting('transaction_read_only') = 'off'
                THEN pg_logical_emit_message(true, 'tollgate', 'writable') END IS NOT NULL
    """
)


def is_read_only(problem: BaseException | None) -> bool:
    """Whether a statement failed because the server, or the session, takes no writes."""
    return isinstance(problem, psycopg.Error) and problem.sqlstate == READ_ONLY


def is_lost(problem: BaseException | None) -> bool:
    """Whether nothing more can be done on the connection that raised it."""
    return is_read_only(problem) or (
        isinstance(problem, psycopg.Error) and (problem.sqlstate or "").startswith(_ENDED)
    )


def unavailable(problem: BaseException) -> OperationalError:
    """The error of a server that is away. `connection_invalidated`: it may have executed the
    statement.
    """
    return OperationalError(
        None,
        None,
        problem,
        hide_parameters=True,
        connection_invalidated=not is_read_only(problem),
    )


def drop_lost(engine: Engine) -> None:
    """Drop all connections of the pool when one is lost.

    The error is `unavailable` whatever the driver's is: behind a pooler it reports a session that
    ended as a protocol violation, or as two results of one statement.
    """

    @event.listens_for(engine, "handle_error")
    def note(context: ExceptionContext) -> OperationalError | None:
        if is_lost(context.original_exception):
            context.is_disconnect = True
        if context.is_disconnect and isinstance(context.original_exception, psycopg.Error):
            return unavailable(context.original_exception)
        return None

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
