"""Webhook endpoints by the API, from their creation to what the host application receives."""

import asyncio
from contextlib import suppress

from runtime.outbound_queues import OutboundQueues
from simulators.receiver import Receiver
from simulators.serving import serve
from tests.integration.conftest import Tollgate
from tests.world import until

ENDPOINTS = "/v1/webhook-endpoints"


async def test_a_suspension_is_delivered_signed(tollgate: Tollgate) -> None:
    async with serve(Receiver()) as receiver:
        made = await tollgate.post(ENDPOINTS, {"url": f"{receiver.url}/hooks"})
        assert made.status_code == 201, made.text
        receiver.secrets.append(made.json()["secret"])
        await tollgate.onboard()
        blocked = await tollgate.post("/v1/organizations/acme/suspend", {"reason": "abuse"})
        assert blocked.status_code < 300, blocked.text
        queues = OutboundQueues(tollgate.services.engine, tollgate.services.sender)
        delivering = asyncio.create_task(queues.run())

        async def arrived() -> bool:
            return any(each.type == "organization.suspended" for each in receiver.accepted())

        await until(arrived)
        delivering.cancel()
        with suppress(asyncio.CancelledError):
            await delivering

    [received] = [each for each in receiver.accepted() if each.type == "organization.suspended"]
    assert received.organization_id == "acme"
    assert received.data["blocks"] == ["admin"]
