"""A role of its own for the API and the workers: it can do their work, and cannot rewrite history."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from db import seals
from db.tables import APPEND_ONLY
from domain.wallet import debit
from runtime import database
from tests.builders import block, campaign, onboard, post, run, send, send_one, subscribe, unblock, usd


@pytest_asyncio.fixture
async def role(engine: AsyncEngine, database_url: str) -> AsyncIterator[str]:
    name = f"App {uuid4().hex[:8]}"
    await run(engine, f'CREATE ROLE "{name}"')
    assert database.grant(database_url, name)
    yield name
    await run(engine, f'DROP OWNED BY "{name}"')
    await run(engine, f'DROP ROLE "{name}"')


@pytest_asyncio.fixture
async def as_role(database_url: str, role: str) -> AsyncIterator[AsyncEngine]:
    made = database.create_engine(database_url, pool_size=3, application_name="tests")

    @event.listens_for(made.sync_engine, "connect")
    def become(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f'SET ROLE "{role}"')
        cursor.close()
        connection.commit()

    yield made
    await made.dispose()


async def test_the_role_does_what_the_api_and_the_workers_do(as_role: AsyncEngine) -> None:
    await onboard(as_role)
    await subscribe(as_role)
    await post(as_role, debit("d", usd("1")))
    await send(as_role, await campaign(as_role))
    await send_one(as_role)
    await block(as_role)
    await unblock(as_role)
    async with as_role.begin() as conn:
        assert await seals.seal(conn) > 0


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET organization_id = organization_id",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} DISABLE TRIGGER USER",
    ],
)
async def test_the_role_may_only_add_to_history(as_role: AsyncEngine, table: str, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        await run(as_role, statement.format(table))


async def test_the_role_may_not_work_around_the_triggers(as_role: AsyncEngine) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        await run(as_role, "SET session_replication_role = replica")


def test_a_role_that_is_not_there_is_granted_nothing(database_url: str) -> None:
    assert not database.grant(database_url, "nobody at all")


async def test_granting_takes_back_what_was_given_by_hand(
    engine: AsyncEngine, database_url: str, role: str, as_role: AsyncEngine
) -> None:
    await run(engine, f'GRANT ALL ON ledger_entries TO "{role}"')

    assert database.grant(database_url, role)
    with pytest.raises(ProgrammingError, match="permission denied"):
        await run(as_role, "DELETE FROM ledger_entries")
