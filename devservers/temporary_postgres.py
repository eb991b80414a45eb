"""A PostgreSQL server for one use: it and its data are removed at the end."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devservers import postgres
from devservers.postgres import Postgres


@contextmanager
def serve() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="tollgate-") as directory:
        Path(directory).chmod(0o711)  # as root, the server runs as another user
        with postgres.serve(Path(directory)) as server:
            yield server
