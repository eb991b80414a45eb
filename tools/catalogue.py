"""Writes db/audit/catalogue.txt: the schema that the migrations produce in an empty database, which
`certify` compares with.
"""

import sqlalchemy

from db.audit import catalogue
from devservers import temporary_postgres
from runtime import migrations


def main() -> None:
    with temporary_postgres.serve() as server:
        migrations.migrate(server.url())
        with sqlalchemy.create_engine(server.url()).begin() as connection:
            text = catalogue.written(connection)
    catalogue.FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
