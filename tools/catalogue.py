"""Writes db/audit/catalogue.txt: the schema that the migrations produce in an empty database, which
`certify` compares with.
"""

import tempfile
from pathlib import Path

import sqlalchemy

from db.audit import catalogue
from devservers import postgres
from runtime import migrations


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tollgate-catalogue-") as directory:
        Path(directory).chmod(0o711)
        with postgres.serve(Path(directory)) as server:
            migrations.migrate(server.url())
            with sqlalchemy.create_engine(server.url()).begin() as connection:
                text = catalogue.written(connection)
    catalogue.FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
