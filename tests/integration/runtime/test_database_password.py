"""The database's password from a command, which is run for each new connection."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from devservers.postgres import Postgres
from runtime import passwords
from runtime.database import create_engine
from runtime.migrations import migrate


@dataclass(frozen=True)
class Guarded:
    """A server that asks the role `app` for its password, and the file that has it."""

    server: Postgres
    file: Path

    def url(self, command: str | None = None) -> str:
        url = make_url(self.server.url()).set(username="app")
        return passwords.named(
            url.render_as_string(hide_password=False), command or f"cat {self.file}"
        )

    def change(self, password: str) -> None:
        statement = sql.SQL("ALTER ROLE app PASSWORD {}").format(sql.Literal(password))
        with psycopg.connect(self.server.url().replace("+psycopg", "")) as conn:
            conn.execute(statement)
        self.file.write_text(f"{password}\n")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="tollgate-test-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        rules = place / "rules.conf"
        rules.write_text("local all postgres trust\nlocal all app scram-sha-256\n")
        server = Postgres(place, {"fsync": "off", "hba_file": str(rules)})
        server.start()
        with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as conn:
            conn.execute("CREATE ROLE app LOGIN")
            conn.execute("ALTER DATABASE tollgate OWNER TO app")
            conn.execute("ALTER SCHEMA public OWNER TO app")
        found = Guarded(server, place / "password")
        found.change("first")
        yield found
        server.stop()


async def test_a_new_connection_takes_the_password_of_its_time(guarded: Guarded) -> None:
    guarded.change("before")
    engine = create_engine(guarded.url(), pool_size=2)

    async with engine.connect() as first:
        guarded.change("after")
        async with engine.connect() as second:
            users = [await conn.scalar(text("SELECT current_user")) for conn in (first, second)]
    await engine.dispose()

    assert users == ["app", "app"]


def test_migrations_take_it_too(guarded: Guarded) -> None:
    assert migrate(guarded.url(), "0001") == "0001"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("false", "it ended with status 1"),
        ("true", "it printed nothing"),
        ("/nowhere/command", "No such file or directory"),
        ("sleep 3600", "it took too long"),
    ],
)
async def test_a_command_that_fails_is_a_database_that_cannot_be_reached(
    guarded: Guarded, command: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "LIMIT", 1.0)
    engine = create_engine(guarded.url(command), pool_size=1)

    with pytest.raises(OperationalError) as asked:
        await engine.connect()
    with pytest.raises(OperationalError) as asked_now:
        migrate(guarded.url(command))
    await engine.dispose()

    for failure in (asked, asked_now):
        assert str(failure.value.orig) == f"TOLLGATE_DATABASE_PASSWORD_COMMAND failed: {reason}"


async def test_while_the_command_runs_everything_else_goes_on(
    guarded: Guarded, tmp_path: Path
) -> None:
    marker = tmp_path / "go on"
    script = f"while [ ! -e '{marker}' ]; do sleep 0.05; done; cat '{guarded.file}'"
    engine = create_engine(guarded.url(f'sh -c "{script}"'), pool_size=1)

    connecting = asyncio.create_task(_user(engine))
    await asyncio.sleep(0)
    marker.touch()  # by this process, whose loop the command does not occupy

    assert await connecting == "app"
    await engine.dispose()


async def _user(engine: object) -> object:
    async with engine.connect() as conn:  # type: ignore[attr-defined]
        return await conn.scalar(text("SELECT current_user"))
