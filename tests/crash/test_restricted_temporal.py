"""A worker at a Temporal whose administrative calls are refused, as at Temporal Cloud."""

from pathlib import Path

import grpc
import pytest
from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig

from runtime import client
from simulators.paypal.certificate import Authority
from tests import temporal_proxy
from tests.crash.processes import worker
from tests.temporal_proxy import ADMINISTRATIVE, OPERATOR
from tests.world import world


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ((OPERATOR,), "PERMISSION_DENIED"),
        (ADMINISTRATIVE, "PERMISSION_DENIED"),
        (ADMINISTRATIVE, "UNIMPLEMENTED"),
    ],
)
async def test_a_worker_whose_administrative_calls_are_refused_enforces(
    database_url: str,
    temporal_client: Client,
    tmp_path: Path,
    authority: Authority,
    refused: tuple[str, ...],
    status: str,
) -> None:
    address = temporal_client.service_client.config.target_host
    async with temporal_proxy.serve(address, *refused) as proxy:
        proxy.status = grpc.StatusCode[status]
        connected = await client.connect(ClientConnectConfig(target_host=proxy.address))
        async with (
            world(database_url, connected, tmp_path, authority) as running_world,
            worker(running_world) as working,
        ):
            organization_id, subscription_id = await running_world.organization()
            await running_world.lapse(subscription_id)
            await running_world.applied(organization_id, "suspended")

            assert await running_world.subaccount_status(organization_id) == "suspended"
            assert await working.terminate() == 0
