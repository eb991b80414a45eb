"""Describes the error that ended a command in one line and as an exit status; None for an
unexpected error.
"""

import errno

import psycopg
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from temporalio.service import RPCError

from cli.failures import CommandFailed, Status
from devservers.postgres import PostgresDidNotStart
from devservers.temporal import NoTemporal
from runtime.server_wait import ServerAway
from runtime.settings import BadSettings


def in_words(problem: Exception) -> tuple[str, Status] | None:
    match problem:
        case CommandFailed():
            return str(problem), problem.status
        case BadSettings():
            return str(problem), Status.MISUSED
        case ServerAway() | NoTemporal() | PostgresDidNotStart():
            return str(problem), Status.UNAVAILABLE
        case CommandError():
            return f"the schema cannot be migrated: {problem}", Status.MISUSED
        case DBAPIError():
            return _of_the_database(problem)
        case NoConnectionFree():
            return "the database does not answer: no connection was free", Status.UNAVAILABLE
        case RPCError():
            return (
                f"Temporal request failed: {_first_line(problem.message)}",
                Status.UNAVAILABLE,
            )
        case OSError(filename=str() as path, strerror=str() as reason):
            return f"{path}: {reason}", Status.MISUSED
        case OSError(errno=errno.ENOSPC):
            return "the output cannot be written: no space left", Status.UNAVAILABLE
        case _:
            return None


def _of_the_database(problem: DBAPIError) -> tuple[str, Status] | None:
    reason = _first_line(str(problem.orig))
    match problem:
        case ProgrammingError(orig=psycopg.errors.UndefinedTable()):
            return "the database has no tables yet: run `tollgate migrate` first", Status.MISUSED
        case ProgrammingError(orig=psycopg.errors.InsufficientPrivilege()):
            return f"the role of TOLLGATE_DATABASE_URL lacks a permission: {reason}", Status.MISUSED
        case OperationalError() | InterfaceError():
            return f"the database request failed: {reason}", Status.UNAVAILABLE
        case _:
            return None


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
