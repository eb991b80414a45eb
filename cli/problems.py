"""What ended a command, in one line for whoever typed it; None for what nobody expected."""

import psycopg
from sqlalchemy.exc import OperationalError, ProgrammingError
from temporalio.service import RPCError

from cli.failures import CommandFailed
from runtime.client import TemporalUnreachable
from runtime.postgres import PostgresDidNotStart
from runtime.settings import BadSettings
from runtime.temporal import NoTemporal


def in_words(problem: Exception) -> str | None:
    match problem:
        case BadSettings() | CommandFailed() | NoTemporal() | PostgresDidNotStart() | TemporalUnreachable():
            return str(problem)
        case ProgrammingError(orig=psycopg.errors.UndefinedTable()):
            return "the database has no tables yet: run `tollgate migrate` first"
        case OperationalError() | ProgrammingError():
            return f"the database does not do what it should: {str(problem.orig).partition(chr(10))[0]}"
        case RPCError():
            return f"Temporal does not do what it should: {problem.message.partition(chr(10))[0]}"
        case _:
            return None
