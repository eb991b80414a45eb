"""Events on their way to endpoints: in order for each organization, again until they arrive."""

from tests.integration.outbound.conftest import Telling


async def test_events_are_delivered_in_order_and_once(telling: Telling) -> None:
    await telling.endpoint()
    for epoch in range(1, 26):
        await telling.happen(epoch)

    async with telling.delivering():
        received = await telling.until_received(25)
        await telling.settled()

    assert received == list(range(1, 26))
    assert len({each.id for each in telling.receiver.received}) == 25
