"""The database's password from a command, run for each new connection: a token that expires, or a
secret store that exchanges it.
"""

import asyncio
import shlex
import subprocess
from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.util import await_only

LIMIT = 10.0
"""Seconds for a command, as for a connection."""
_PARAMETER = "password_command"


def named(database_url: str, command: str | None) -> str:
    """The URL with the command, for engines that `ask_when_connecting` has prepared."""
    if command is None:
        return database_url
    url = make_url(database_url).update_query_dict({_PARAMETER: command})
    return url.render_as_string(hide_password=False)


def ask_when_connecting(engine: sqlalchemy.Engine) -> None:
    """Run the command that the engine's URL names, before each connection.

    What it prints is the password. A failure counts as a server that cannot be reached.
    """

    @event.listens_for(engine, "do_connect")
    def ask(dialect: Dialect, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        command = parameters.pop(_PARAMETER, None)
        if command is not None:
            words = shlex.split(command)
            printed = await_only(_asked(words)) if dialect.is_async else _asked_now(words)
            parameters["password"] = printed.decode().rstrip("\r\n")


async def _asked(words: Sequence[str]) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
    except OSError as problem:
        raise _failure(problem.strerror or "it cannot be run") from problem
    try:
        async with asyncio.timeout(LIMIT):
            printed, _ = await process.communicate()
    except TimeoutError:
        raise _failure("it took too long") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _checked(printed, process.returncode)


def _asked_now(words: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - an operator's own command
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT, check=False
        )
    except OSError as problem:
        raise _failure(problem.strerror or "it cannot be run") from problem
    except subprocess.TimeoutExpired:
        raise _failure("it took too long") from None
    return _checked(done.stdout, done.returncode)


def _checked(printed: bytes, status: int | None) -> bytes:
    if status != 0:
        raise _failure(f"it ended with status {status}")
    if not printed.strip():
        raise _failure("it printed nothing")
    return printed


def _failure(reason: str) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"TOLLGATE_DATABASE_PASSWORD_COMMAND failed: {reason}")
