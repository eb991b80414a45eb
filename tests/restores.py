"""Dumps a test's database and restores it in its place, as an operator does after losing it."""

import asyncio
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from devservers import postgres

BROKEN_CONNECTIONS = [
    pytest.mark.usefixtures("broken_connections_are_collected"),
    pytest.mark.filterwarnings(
        "ignore:.*was deleted while still open:ResourceWarning",
        "ignore:The garbage collector is trying to clean up:sqlalchemy.exc.SAWarning",
    ),
]
"""For tests that lose connections, as those that drop the database which an application uses."""


async def dump(engine: AsyncEngine, to: Path) -> None:
    """`pg_dump` of the engine's database."""
    await asyncio.to_thread(
        _run, "pg_dump", "--format=custom", f"--file={to}", _conninfo(engine.url)
    )


async def restore(engine: AsyncEngine, dumped: Path) -> None:
    """Drop the engine's database, whoever is connected to it, and restore the dump in its place."""
    await asyncio.to_thread(_restore, engine.url, dumped)
    await engine.dispose()  # its connections are broken


def _restore(url: URL, dumped: Path) -> None:
    name = sql.Identifier(url.database or "")
    aside = sql.Identifier(f"{url.database}_lost")
    with psycopg.connect(_conninfo(url.set(database="postgres")), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(aside))
        empty = url.set(database=f"{url.database}_lost")
        _run("pg_restore", f"--dbname={_conninfo(empty)}", "--exit-on-error", str(dumped))
        connection.execute(sql.SQL("drop database {} with (force)").format(name))
        connection.execute(sql.SQL("alter database {} rename to {}").format(aside, name))


def _conninfo(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _run(program: str, *arguments: str) -> None:
    subprocess.run([postgres.binary(program), *arguments], check=True, capture_output=True)
