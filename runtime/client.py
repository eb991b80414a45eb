"""The connection to Temporal: converter, metrics and patience; contains no workflow."""

import logging
import re
from dataclasses import replace
from datetime import timedelta

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.envconfig import ClientConnectConfig
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import RPCError, RPCStatusCode

from runtime.failures import EncodedFailureConverter, RedactingFailureConverter
from runtime.server_wait import PATIENCE, Say, log_waiting, until_it_answers
from runtime.settings import BadSettings

DATA_CONVERTER = replace(pydantic_data_converter, failure_converter_class=RedactingFailureConverter)


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """Our converter; a codec encrypts failures' messages, too."""
    if codec is None:
        return DATA_CONVERTER
    return replace(
        DATA_CONVERTER, payload_codec=codec, failure_converter_class=EncodedFailureConverter
    )


RPC_TIMEOUT = timedelta(seconds=10)
"""For every call that a request waits for; the SDK retries within it."""
_QUOTED = re.compile(r'(?:message|error): "([^"]+)"')
_ANSWERED = {
    "Unauthenticated": "TEMPORAL_API_KEY: Temporal does not accept it",
    "PermissionDenied": "TEMPORAL_API_KEY: Temporal does not accept it",
    "PrivateKeyParseError": "TEMPORAL_TLS_CLIENT_KEY_*: the key cannot be read",
    "CertificateParseError": "TEMPORAL_TLS_*: a certificate cannot be read",
    "Unimplemented": "TEMPORAL_ADDRESS: the server there is not a Temporal server",
}


async def connect(
    connection: ClientConnectConfig,
    *,
    lazy: bool = False,
    patience: timedelta = PATIENCE,
    identity: str | None = None,
    runtime: Runtime | None = None,
    say: Say = log_waiting,
    codec: PayloadCodec | None = None,
) -> Client:
    """A client with the Pydantic converter. `lazy` connects at the first call; otherwise connects
    until `patience` ends.

    Raises ServerAway, and BadSettings if the server responds without the namespace.
    """
    address = connection["target_host"]

    async def attempt() -> Client:
        try:
            return await Client.connect(
                address,
                namespace=connection.get("namespace") or "default",
                api_key=connection.get("api_key"),
                tls=connection.get("tls"),
                rpc_metadata=connection.get("rpc_metadata", {}),
                data_converter=data_converter(codec),
                connect_timeout=RPC_TIMEOUT,
                identity=identity,
                lazy=lazy,
                runtime=runtime,
            )
        except RuntimeError as problem:
            for word, wrong in _ANSWERED.items():
                if word in str(problem):
                    quoted = _QUOTED.search(str(problem))
                    raise BadSettings(
                        f"{wrong} ({address}{f': {quoted[1]}' if quoted else ''})"
                    ) from problem
            raise

    client = await until_it_answers(
        f"Temporal at {address}",
        attempt,
        away=(RuntimeError,),
        reason=temporal_reason,
        patience=patience,
        say=say,
    )
    if not lazy:
        await _check_namespace(client, address)
    return client


def temporal_reason(problem: Exception) -> str:
    """The quoted part of the SDK's message; the rest is in another language's notation."""
    quoted = _QUOTED.search(str(problem))
    return (
        quoted[1]
        if quoted is not None
        else "no connection could be made; perhaps only one side uses TLS"
    )


async def _check_namespace(client: Client, address: str) -> None:
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
        )
    except RPCError as problem:
        if problem.status is RPCStatusCode.NOT_FOUND:
            raise BadSettings(
                f"TEMPORAL_NAMESPACE: Temporal at {address} has no {client.namespace}"
            ) from problem
        if problem.status is RPCStatusCode.UNAUTHENTICATED:
            raise BadSettings(
                f"TEMPORAL_API_KEY: Temporal at {address} does not accept it"
            ) from problem
        if problem.status is RPCStatusCode.PERMISSION_DENIED:
            raise BadSettings(
                f"TEMPORAL_API_KEY: Temporal at {address} does not let it read the namespace "
                f"{client.namespace}, and a worker has to read and write there"
            ) from problem
        if problem.status is not RPCStatusCode.UNIMPLEMENTED:
            raise


def telemetry(metrics_address: str | None = None) -> Runtime:
    """The SDK's core, logging through ours; Prometheus metrics at `metrics_address`, an IP and a
    port.

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
