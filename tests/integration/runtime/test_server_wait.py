"""A process waits for servers that do not answer yet, and reports the wait once, immediately."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from devservers.postgres import Postgres
from runtime import migrations
from runtime.server_wait import ServerAway, until_it_answers
from runtime.servers import await_database
from runtime.settings import BadSettings, Settings, load
from tests.conftest import _run

LONG, NONE = timedelta(minutes=5), timedelta(0)


class Server:
    """Refuses the first calls, or delays its answer until it is released."""

    def __init__(self, refusals: int = 0) -> None:
        self._refusals = refusals
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reports: list[str] = []

    async def look(self) -> str:
        await self.may_answer.wait()
        if self._refusals > 0:
            self._refusals -= 1
            raise ConnectionRefusedError("refused")
        return "here"

    def say(self, text: str) -> None:
        self.reports.append(text)
        self.may_answer.set()

    async def answer(self, patience: timedelta) -> str:
        return await until_it_answers(
            "the server", self.look, away=(OSError,), reason=str, patience=patience, say=self.say
        )


async def test_a_server_that_answers_is_not_spoken_of() -> None:
    server = Server()

    assert await server.answer(NONE) == "here"
    assert server.reports == []


async def test_a_server_that_refuses_at_first_is_waited_for_and_spoken_of_once() -> None:
    server = Server(refusals=2)

    assert await server.answer(LONG) == "here"
    assert server.reports == ["waiting for the server (refused) ..."]


async def test_a_server_that_keeps_silent_is_spoken_of_before_it_answers() -> None:
    server = Server()
    server.may_answer.clear()  # the report releases the answer

    assert await server.answer(LONG) == "here"
    assert server.reports == ["waiting for the server ..."]


async def test_when_patience_is_over_the_server_is_named() -> None:
    with pytest.raises(ServerAway, match=r"^the server does not answer: refused$"):
        await Server(refusals=1).answer(NONE)


async def test_a_wrong_setting_is_not_waited_out() -> None:
    async def wrong() -> str:
        raise BadSettings("TOLLGATE_DATABASE_URL: is wrong")

    with pytest.raises(BadSettings):
        await until_it_answers(
            "the server", wrong, away=(OSError,), reason=str, patience=LONG, say=print
        )


async def test_a_database_in_another_encoding_is_refused(postgres: Postgres) -> None:
    statement = "create database {} encoding sql_ascii locale 'C' template template0"
    _run(postgres, sql.SQL(statement).format(sql.Identifier("ascii")))

    with pytest.raises(
        BadSettings, match="the database's encoding is SQL_ASCII, and UTF8 is needed"
    ):
        await await_database(postgres.url("ascii"), patience=NONE, say=print)


async def test_the_schema_is_looked_for_where_it_is_migrated_to(database_url: str) -> None:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("create schema elsewhere")
    named = f"{database_url}&options=-csearch_path%3Delsewhere"

    before = await await_database(named, patience=NONE, say=print)
    at = migrations.migrate(named)

    after = await await_database(named, patience=NONE, say=print)

    assert (before.revision, after.revision) == (None, at)


@pytest.fixture
def failover_url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL of two servers, of which the first is down."""
    monkeypatch.setenv("TOLLGATE_DATABASE_URL", database_url.replace("?host=", "?host=/nowhere,"))
    read = load(Settings).database_url
    assert read is not None
    return read.get_secret_value()


async def test_the_second_database_server_is_used_when_the_first_is_away(failover_url: str) -> None:
    schema = await await_database(failover_url, patience=NONE, say=print)

    assert schema.revision == migrations.known_revisions()[-1]


async def test_a_standby_is_not_used(failover_url: str, postgres: Postgres) -> None:
    name = sql.Identifier(str(make_url(failover_url).database))
    _run(postgres, sql.SQL("alter database {} set default_transaction_read_only = on").format(name))

    with pytest.raises(ServerAway, match="session is read-only"):
        await await_database(failover_url, patience=NONE, say=print)
