"""A gRPC proxy in front of Temporal that forwards bytes and refuses chosen methods, as a cluster
with authorization does.

Temporal Cloud serves no OperatorService to a namespace's key: https://docs.temporal.io/cloud/tcld
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

Handler = Callable[[bytes, grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]
OPERATOR = "/temporal.api.operatorservice.v1.OperatorService/"
WORKFLOW = "/temporal.api.workflowservice.v1.WorkflowService/"
HEALTH = "/grpc.health.v1.Health/"
ADMINISTRATIVE = (
    OPERATOR,
    HEALTH,
    f"{WORKFLOW}CountWorkflowExecutions",
    f"{WORKFLOW}CreateSchedule",
    f"{WORKFLOW}DescribeSchedule",
)
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_OF_THE_CONNECTION = ("user-agent", "grpc-", "content-type", "te")


@dataclass(slots=True)
class Proxy:
    """`refused` are beginnings of methods, and `naming` is in each request that is refused; `calls`
    counts the calls of each method by its name.
    """

    channel: grpc.aio.Channel
    refused: tuple[str, ...] = ()
    naming: str = ""
    status: grpc.StatusCode = grpc.StatusCode.PERMISSION_DENIED
    api_key: str | None = None
    address: str = ""
    calls: Counter[str] = field(default_factory=Counter)

    def handler(self, method: str) -> Handler:
        async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self.calls[method.rpartition("/")[2]] += 1
            metadata = [(str(name), value) for name, value in context.invocation_metadata() or ()]
            if self.api_key and ("authorization", f"Bearer {self.api_key}") not in metadata:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request unauthorized.")
            if method.startswith(self.refused or ("-",)) and self.naming.encode() in request:
                await context.abort(self.status, "Request unauthorized.")
            return await self._forward(method, request, metadata, context)

        return handle

    async def _forward(
        self,
        method: str,
        request: bytes,
        metadata: list[tuple[str, str | bytes]],
        context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> bytes:
        kept = [
            (name, value) for name, value in metadata if not name.startswith(_OF_THE_CONNECTION)
        ]
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
        try:
            response = await call(request, metadata=kept, timeout=context.time_remaining())
        except grpc.aio.AioRpcError as problem:
            await context.abort(
                problem.code(), problem.details() or "", tuple(problem.trailing_metadata() or ())
            )
            raise
        return response


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._proxy.handler(handler_call_details.method))


@asynccontextmanager
async def serve(
    address: str,
    *refused: str,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Proxy]:
    """A proxy of the server at `address` on a free port of this machine."""
    async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
        proxy = Proxy(channel, refused)
        server = grpc.aio.server(handlers=[_Handlers(proxy)], options=_UNLIMITED)
        port = (
            server.add_insecure_port("127.0.0.1:0")
            if credentials is None
            else server.add_secure_port("127.0.0.1:0", credentials)
        )
        proxy.address = f"127.0.0.1:{port}"
        await server.start()
        try:
            yield proxy
        finally:
            await server.stop(grace=None)
