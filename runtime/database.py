"""The database's engine and its migrations; refuses statements and waits without an end."""

from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 5_000
_MIGRATIONS = Path(__file__).parent.parent / "db" / "migrations"
_MIGRATION_LOCK = 0x70_6C_6C_67_61_74_65  # any number, as long as every version of us takes the same


def create_engine(url: str, pool_size: int, application_name: str = "tollgate") -> AsyncEngine:
    """An engine with at most `pool_size` connections: who finds none free waits ten seconds, then fails.

    Statements and lock waits end in PostgreSQL itself, sooner than the activity or the request around them.
    """
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters hold phone numbers
        connect_args={"options": options, "application_name": application_name, "connect_timeout": 10},
    )


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision` in one transaction. Two processes may call it at once; the second waits."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        command.upgrade(alembic_config(url, connection), revision)


def alembic_config(url: str, connection: sqlalchemy.Connection | None = None) -> Config:
    """`env.py` uses `attributes["connection"]` if there is one, else it connects to `sqlalchemy.url`."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
