"""Writes a migration from the differences between db/tables and the migrations. Review it before
you commit it.
"""

import sys

import sqlalchemy
from alembic import command

from devservers import temporary_postgres
from runtime import migrations


def main(message: str) -> None:
    """Migrate an empty database, and compare."""
    if not message:
        sys.exit('pass a description: make migration M="add receipts"')
    with temporary_postgres.serve() as server:
        migrations.migrate(server.url())
        with sqlalchemy.create_engine(server.url()).begin() as connection:
            config = migrations.alembic_config(server.url(), connection)
            command.revision(config, message, autogenerate=True)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]).strip())
