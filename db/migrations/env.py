"""Connects Alembic to the database: the caller passes a connection, or `sqlalchemy.url` names the
database; offline, Alembic writes the statements. Notes in the schema which builds it still supports,
where a migration says so.
"""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, create_engine, text

from db.tables import metadata


def _run(**where: Any) -> None:
    """`where` is a connection, or the dialect of the statements."""
    context.configure(
        **where,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=_note_oldest_build,
    )
    with context.begin_transaction():
        context.run_migrations()


def _note_oldest_build(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001 - Alembic passes it by name
    run_args: Mapping[str, Any],  # noqa: ARG001 - as above
) -> None:
    migration = step.up_revision
    oldest_build = (
        getattr(migration.module, "oldest_build", None) if isinstance(migration, Script) else None
    )
    if step.is_upgrade and oldest_build is not None:
        note = text("UPDATE schema_support SET oldest_build = :oldest_build")
        ctx.execute(note.bindparams(oldest_build=oldest_build))


def _connect_and_run() -> None:
    handed_in: Connection | None = context.config.attributes.get("connection")
    if handed_in is not None:
        _run(connection=handed_in)
        return
    if context.is_offline_mode():
        _run(dialect_name="postgresql", literal_binds=True)
        return
    url = context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise RuntimeError("no connection was passed and sqlalchemy.url is empty")
    engine = create_engine(url)
    with engine.connect() as connection:
        _run(connection=connection)
    engine.dispose()


_connect_and_run()
