"""A demoted server's connections stay open and refuse writes: they are dropped, the caller retries."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.lost_sessions import can_write
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Credited, Debited
from runtime.coalescer import Coalescer
from tests.builders import ORGANIZATION, onboard, run, usd
from tests.integration.conftest import Tollgate
from tests.world import until

BOTH = 2


async def demote(engine: AsyncEngine, connections: int = BOTH) -> None:
    """Leave connections in the pool that refuse writes, like those to a server that was demoted."""
    opened = [await engine.connect() for _ in range(connections)]
    for conn in opened:
        await conn.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
        await conn.commit()
        await conn.close()


async def test_one_refused_write_drops_all_connections_of_the_pool(engine: AsyncEngine) -> None:
    await demote(engine)

    with pytest.raises(OperationalError):
        await run(engine, "CREATE TABLE written ()")

    async with engine.connect() as first, engine.connect() as second:
        assert await can_write(first)
        assert await can_write(second)


async def test_a_write_in_a_pipeline_is_repeated_on_a_new_connection(engine: AsyncEngine) -> None:
    await onboard(engine)
    coalescer = Coalescer(engine)
    await demote(engine)

    several = [debit("a", usd("0.01")), credit("b", usd("0.01"))]
    together = await coalescer.post(ORGANIZATION, several)
    await demote(engine)
    [alone] = await coalescer.post(ORGANIZATION, [debit("c", usd("0.01"))])

    assert [type(outcome) for outcome in [*together, alone]] == [Debited, Credited, Debited]


async def test_a_webhook_is_answered_with_503_and_accepted_when_it_comes_again(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    [event_id] = await tollgate.happen(await tollgate.subscribe(), "suspend")
    name = tollgate.services.engine.url.database
    setting = f'ALTER DATABASE "{name}" SET default_transaction_read_only ='
    await run(tollgate.services.engine, f"{setting} on")
    await demote(tollgate.services.engine, connections=20)

    refused = await tollgate.deliver_event(event_id)
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("SET TRANSACTION READ WRITE"))
        await conn.execute(text(f"{setting} off"))
    answers = []

    async def accepted() -> bool:
        answers.append((await tollgate.deliver_event(event_id)).status_code)
        return answers[-1] == 200

    await until(accepted, "the webhook accepted at a repetition")
    assert {refused.status_code, *answers[:-1]} == {503}
