"""What was delivered is kept for a month, and a deleted endpoint leaves nothing."""

from datetime import UTC, datetime, timedelta

from db.outbound import endpoints, old_rows
from simulators.receiver import Behaviour
from tests.builders import rows
from tests.integration.outbound.conftest import Telling

TABLES = ("webhook_attempts", "webhook_deliveries", "webhook_queues", "webhook_endpoints")


async def counted(telling: Telling) -> list[int]:
    return [
        (await rows(telling.engine, f"SELECT count(*) FROM {table}"))[0].count for table in TABLES
    ]


async def delete(telling: Telling, *, after: timedelta = timedelta(0)) -> None:
    async with telling.engine.begin() as conn:
        await old_rows.delete(conn, now=datetime.now(UTC) + after)


async def test_attempts_and_settled_deliveries_are_kept_for_thirty_days(telling: Telling) -> None:
    await telling.endpoint()
    await telling.happen(1)
    async with telling.delivering():
        await telling.settled()
    await delete(telling, after=timedelta(days=29))
    kept = await counted(telling)
    await delete(telling, after=timedelta(days=31))

    assert kept == [1, 1, 1, 1]
    assert await counted(telling) == [0, 0, 1, 1]


async def test_what_is_pending_is_kept_however_old_it_is(telling: Telling) -> None:
    await telling.endpoint()
    telling.receiver.behave("/hooks", Behaviour(status=500))
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(1)
    await delete(telling, after=timedelta(days=31))

    assert await counted(telling) == [0, 1, 1, 1]


async def test_a_deleted_endpoint_is_not_called_and_leaves_nothing(telling: Telling) -> None:
    endpoint = await telling.endpoint()
    telling.receiver.behave("/hooks", Behaviour(status=500))
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(1)
        async with telling.engine.begin() as conn:
            assert await endpoints.remove(conn, endpoint.id)
            assert not await endpoints.remove(conn, endpoint.id)
        await telling.pass_by()
        await telling.happen(2)
        await telling.endpoint("/other")
        await telling.happen(3)
        await telling.until_received(1, "/other")
    await delete(telling)
    await delete(telling)

    left = await rows(
        telling.engine,
        "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = :id",
        id=endpoint.id,
    )
    assert left[0].count == 0
    assert (await counted(telling))[2:] == [1, 1]
    assert len([each for each in telling.receiver.received if each.path == "/hooks"]) == 1
