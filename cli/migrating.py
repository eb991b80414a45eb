"""`tollgate migrate`, and the database that a command works on."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.console import output
from runtime import database, logging, postgres
from runtime.settings import Settings, load


def migrate(revision: str) -> None:
    with database_url(configured()) as url:
        database.migrate(url, revision)
    output.print(f"the schema is at {revision}")


def configured() -> Settings:
    """The settings, with the logging that they ask for."""
    read = load(Settings)
    logging.configure(read.log_level, read.log_format, read.build_id)
    return read


@contextmanager
def database_url(read: Settings) -> Iterator[str]:
    """The database that the settings name, or the embedded one, migrated, for as long as it is used."""
    if read.database_url is not None:
        yield read.database_url.get_secret_value()
        return
    with postgres.serve(read.data_dir) as server:
        database.migrate(server.url())
        yield server.url()
