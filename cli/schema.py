"""`tollgate migrate`, and the database of a command."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from cli.console import errors, output
from cli.failures import Misused
from devservers import postgres
from runtime import logging, migrations, passwords
from runtime.server_wait import PATIENCE
from runtime.servers import await_database, await_schema
from runtime.settings import Settings, load, writable

AT_ONCE = timedelta(0)
"""A user waits at a terminal: try once."""


def migrate(revision: str) -> None:
    read = configured()
    with _named_or_embedded(read) as url:
        schema = asyncio.run(await_database(url, patience=PATIENCE, say=say))
        revisions = migrations.known_revisions()
        if revision not in {"head", *revisions}:
            raise Misused(
                f"--revision: there is no {revision}; this build knows {revisions[0]} to {revisions[-1]}"
            )
        at = schema.revision
        if at is None or at in revisions:
            at = migrations.migrate(url, revision)
        elif (problem := migrations.schema_problem(schema)) is not None:
            raise Misused(problem)
    output.print(f"the schema is at {at}", highlight=False)


def configured() -> Settings:
    """The settings that every command reads; also configures the logging."""
    read = load(Settings)
    logging.configure(read.log_level, read.log_format, read.build_id)
    return read


def configured_wholly() -> Settings:
    """The same, after checking everything that the API and the worker need: one line names all
    problems.
    """
    from runtime import environment  # noqa: PLC0415 - the providers' clients, which few commands need

    environment.read()
    return configured()


@contextmanager
def database_url(read: Settings) -> Iterator[str]:
    """The database that the settings name, or the embedded one, migrated, while it is used.

    Raises ServerAway if it does not answer, BadSettings if its schema does not match this build.
    """
    with _named_or_embedded(read) as url:
        asyncio.run(await_schema(url, patience=AT_ONCE, say=say))
        yield url


def say(text: str) -> None:
    """Print a line for the user at the terminal."""
    errors.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _named_or_embedded(read: Settings) -> Iterator[str]:
    if read.database_url is not None:
        url = read.database_url.get_secret_value()
        yield passwords.named(url, read.database_password_command)
        return
    with postgres.serve(writable("TOLLGATE_DATA_DIR", read.data_dir)) as server:
        migrations.migrate(server.url())
        yield server.url()
