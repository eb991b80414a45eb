"""Connects Alembic to the database: the caller passes a connection, or `sqlalchemy.url` names the
database.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from db.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


def _connect_and_run() -> None:
    handed_in: Connection | None = context.config.attributes.get("connection")
    if handed_in is not None:
        _run(handed_in)
        return
    url = context.config.get_main_option("sqlalchemy.url")
    if not url:
        raise RuntimeError("no connection was passed and sqlalchemy.url is empty")
    engine = create_engine(url)
    with engine.connect() as connection:
        _run(connection)
    engine.dispose()


_connect_and_run()
