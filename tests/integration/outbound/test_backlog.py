"""What monitoring shows of endpoints."""

from datetime import UTC, datetime, timedelta

from db.outbound import backlog, endpoints
from domain.outbound.deliveries import Disabled
from simulators.receiver import Behaviour
from tests.integration.outbound.conftest import Telling


async def test_the_oldest_event_and_the_failing_endpoints_are_shown(telling: Telling) -> None:
    endpoint = await telling.endpoint("/fails")
    await telling.endpoint("/well")
    telling.receiver.behave("/fails", Behaviour(status=500))
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(2)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with telling.engine.begin() as conn:
        failing = await backlog.read(conn, now=later)
        await endpoints.disable(conn, endpoint.id, Disabled.BY_HAND, now=later)
        disabled = await backlog.read(conn, now=later)

    assert failing.endpoints == {"enabled": 1, "failing": 1, "disabled": 0}
    assert timedelta(minutes=59) < failing.oldest < timedelta(minutes=61)
    assert (disabled.endpoints["disabled"], disabled.oldest) == (1, timedelta())
