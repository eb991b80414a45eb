"""Migrates the schema while other builds serve, and says which schemas this build works with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, PendingRollbackError

from db.migrations.schema_support import Schema
from runtime import passwords
from runtime.database import network_limits
from runtime.settings import BadSettings

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_TIMEOUT_MS = 1_000
"""While a migration waits for a table, every request to that table waits behind it."""
PATIENCE = timedelta(minutes=1)
"""How long a table that another transaction holds is tried again."""
REST = 1.0
"""Between two tries: the requests that waited go on."""
_MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations"
_MIGRATION_LOCK = (
    0x70_6C_6C_67_61_74_65  # any number, as long as every version of Tollgate uses the same
)


def migrate(url: str, revision: str = "head", *, patience: timedelta = PATIENCE) -> str:
    """Migrate the schema to `revision`, each migration in its own transaction; returns its
    revision. Two processes may call it at once, and a call that was interrupted is repeated.

    A table that another transaction holds, such as a long `certify`, is waited for briefly and
    often. When `patience` is over, PostgreSQL's lock_not_available is raised, and the migrations
    that were done stay. Raises Alembic's CommandError for a revision unknown to this build,
    requested or found.
    """
    from alembic import command  # noqa: PLC0415 - it takes a tenth of a second, and few commands migrate

    deadline = time.monotonic() + patience.total_seconds()
    with _session(url) as connection:
        while True:
            try:
                command.upgrade(alembic_config(url, connection), revision)
                break
            except OperationalError as problem:
                connection.rollback()
                held = isinstance(problem.orig, psycopg.errors.LockNotAvailable)
                if not held or time.monotonic() > deadline:
                    raise
            except PendingRollbackError as problem:  # of Alembic, after the connection was lost
                raise problem.__context__ or problem from None
            time.sleep(REST)
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def schema_problem(schema: Schema) -> str | None:
    """Why this build must not run on the schema, and the remedy; None if it may."""
    revisions, found = known_revisions(), schema.revision
    if found is None:
        return "the database has no tables yet: run `tollgate migrate` first"
    if found in revisions and revisions.index(found) < revisions.index(oldest_usable()):
        return (
            f"the database's schema is at {found}, and this build needs {oldest_usable()}: run "
            "`tollgate migrate` first"
        )
    if schema.oldest_build is not None and schema.oldest_build not in revisions:
        return (
            f"the database's schema is at {found}, which supports builds from "
            f"{schema.oldest_build} on, and this build is of {revisions[-1]}: a newer build is "
            "needed"
        )
    return None


def known_revisions() -> tuple[str, ...]:
    """The revisions of this build, oldest first."""
    return _revisions()[0]


def oldest_usable() -> str:
    """The oldest revision on which this build works."""
    return _revisions()[1]


@cache
def _revisions() -> tuple[tuple[str, ...], str]:
    """A migration that the build works without, as one of indexes alone, says `needed = False`."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    script = ScriptDirectory.from_config(alembic_config("postgresql://"))
    newest_first = list(script.walk_revisions())
    needed = next(each for each in newest_first if getattr(each.module, "needed", True))
    return tuple(each.revision for each in newest_first[::-1]), needed.revision


def alembic_config(url: str, connection: sqlalchemy.Connection | None = None) -> "Config":
    """`env.py` uses `attributes["connection"]` if there is one, otherwise it connects to
    `sqlalchemy.url`.
    """
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


@contextmanager
def _session(url: str) -> Iterator[sqlalchemy.Connection]:
    """A connection on which nobody else migrates, outside of a transaction.

    The lock is tried again, not waited for: an index that is built concurrently waits for every
    statement under way, and so for the one that waits.
    """
    parsed = make_url(url)
    # the role, and the URL, may have limits of their own
    limits = ("-c statement_timeout=0", f"-c lock_timeout={LOCK_TIMEOUT_MS}")
    options = " ".join([*parsed.normalized_query.get("options", ()), *limits])
    engine = sqlalchemy.create_engine(
        parsed,
        poolclass=sqlalchemy.NullPool,
        connect_args={
            **network_limits(parsed),
            "options": options,
            "application_name": "tollgate migrate",
        },
    )
    passwords.ask_when_connecting(engine)
    lock = sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(_MIGRATION_LOCK))
    with engine.connect() as connection:
        _refuse_pooler(connection)
        while not connection.execute(lock).scalar_one():
            connection.commit()
            time.sleep(REST)
        connection.commit()
        yield connection


def _refuse_pooler(connection: sqlalchemy.Connection) -> None:
    """Behind one, the lock and the limits would stay with a session that others use next."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection) and driver.info.backend_pid != pid:
        raise BadSettings(
            "TOLLGATE_DATABASE_URL: a pooler is in front of PostgreSQL, and `tollgate migrate` needs "
            "the server itself"
        )
