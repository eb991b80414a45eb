"""The connection to Temporal: converter, search attributes, metrics and patience; holds no workflow."""

import asyncio
import logging
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConnectConfig
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

RPC_TIMEOUT = timedelta(seconds=10)
"""For every call that a request waits for; the SDK retries within it."""
SEARCH_ATTRIBUTES = {"OrganizationId": "Keyword", "Standing": "Keyword", "Stuck": "Bool"}


class TemporalUnreachable(Exception):
    """No Temporal server answered in time; the message names its address."""


async def connect(
    connection: ClientConnectConfig,
    *,
    lazy: bool = False,
    patience: timedelta = timedelta(seconds=60),
    identity: str | None = None,
    runtime: Runtime | None = None,
) -> Client:
    """A client that speaks Pydantic. `lazy` connects at the first call; else it is tried until `patience` ends."""
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    while True:
        try:
            return await Client.connect(
                connection["target_host"],
                namespace=connection.get("namespace") or "default",
                api_key=connection.get("api_key"),
                tls=connection.get("tls"),
                rpc_metadata=connection.get("rpc_metadata", {}),
                data_converter=pydantic_data_converter,
                connect_timeout=RPC_TIMEOUT,
                identity=identity,
                lazy=lazy,
                runtime=runtime,
            )
        except RuntimeError as problem:
            if asyncio.get_running_loop().time() >= deadline:
                raise TemporalUnreachable(f"no Temporal server answers at {connection['target_host']}") from problem
            await asyncio.sleep(0.2)


def telemetry(metrics_address: str | None = None) -> Runtime:
    """The SDK's core, logging through ours; Prometheus metrics at `metrics_address`, an IP and a port.

    Make one per process. Raises ValueError for an address that cannot be served.
    """
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
            ),
            metrics=PrometheusConfig(
                bind_address=metrics_address,
                counters_total_suffix=True,
                unit_suffix=True,
                durations_as_seconds=True,
            )
            if metrics_address
            else None,
        )
    )


async def register_search_attributes(client: Client) -> None:
    """Add those of SEARCH_ATTRIBUTES that the namespace lacks; the dev server gets them at its start."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    missing = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
        for name, kind in SEARCH_ATTRIBUTES.items()
        if name not in known.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing), timeout=RPC_TIMEOUT
        )
