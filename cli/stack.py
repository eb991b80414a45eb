"""All of Tollgate on this machine: servers, simulators, API and worker, which stop with this
process and in order.
"""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig

from cli.children import Children, StackFailed
from cli.simulated import HOST, Simulated
from devservers import temporal
from devservers.ports import free_ports
from devservers.postgres import Postgres
from runtime import migrations
from runtime.client import RPC_TIMEOUT, connect
from runtime.settings import Settings, load, writable
from runtime.temporal_address import temporal_connection

START_LIMIT = 60.0

OnStarted = Callable[[str, float], None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`environment` is that of the API and the worker: with it every command reaches the same
    servers.
    """

    data_dir: Path
    database_url: str
    api_url: str
    temporal_address: str
    temporal_ui_url: str | None
    paypal_url: str
    stripe_url: str
    twilio_url: str
    receiver_url: str
    environment: Mapping[str, str]
    children: "Children"

    @property
    def docs_url(self) -> str:
        return f"{self.api_url}/docs"

    @property
    def ui(self) -> str:
        """The address of Temporal's UI, or a description if the server is not ours."""
        return self.temporal_ui_url or f"(of the server at {self.temporal_address})"


def check_settings() -> Settings:
    """The environment of all parts. Call it before printing anything. Raises BadSettings."""
    settings = load(Settings)
    if temporal_connection() is None:
        writable("TOLLGATE_CACHE_DIR", settings.cache_dir)
    if _named(settings):
        writable("TOLLGATE_DATA_DIR", settings.data_dir)
    return settings


@asynccontextmanager
async def serve(on_started: OnStarted, say: Say) -> AsyncIterator[Stack]:
    """Start everything and wait until it serves; `on_started` receives each started part and the
    time it took, `say` a line for each long wait.

    The data is new, and is removed after a success, unless TOLLGATE_DATA_DIR is set. PostgreSQL is
    always the embedded one: the demo must not write to a configured database. Call it from the main
    thread.
    """
    settings = check_settings()
    with _data_dir(settings) as data_dir:
        async with AsyncExitStack() as parts:
            yield await _start(parts, settings, data_dir, on_started, say)


async def _start(
    parts: AsyncExitStack, settings: Settings, data_dir: Path, on_started: OnStarted, say: Say
) -> Stack:
    began = time.monotonic()
    api_port, paypal_port, stripe_port, twilio_port, receiver_port = free_ports(5)
    api_url = f"http://{HOST}:{api_port}"
    simulated = Simulated(
        paypal_port=paypal_port,
        stripe_port=stripe_port,
        twilio_port=twilio_port,
        receiver_port=receiver_port,
        ca_file=data_dir / "paypal-ca.pem",
    )
    children = Children(data_dir)
    starting = asyncio.create_task(_temporal(parts, settings, data_dir, say), name="temporal")
    await asyncio.sleep(0)  # it starts its process before the code below blocks the loop
    try:
        postgres = Postgres(data_dir)
        parts.callback(postgres.stop)
        for name, arguments in simulated.arguments(api_url).items():
            await parts.enter_async_context(
                children.run(f"{name}-simulator", "simulators.server", arguments, {})
            )
        postgres.start()
        await asyncio.to_thread(migrations.migrate, postgres.url())
        on_started("PostgreSQL 18, with Tollgate's tables", time.monotonic() - began)
        connection, ui_url = await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    on_started(
        "Temporal server, with its UI" if ui_url else "Temporal server", time.monotonic() - began
    )
    queues = _queues(settings, ours=ui_url is not None)
    environment = _environment(postgres.url(), api_url, queues, connection)
    environment |= simulated.environment()
    # the PayPal simulator writes the file that the API reads
    await all_serve(children, [f"{url}/_sim/counts" for url in simulated.urls])
    on_started("PayPal, Stripe and Twilio simulators", time.monotonic() - began)
    await parts.enter_async_context(children.run("worker", "cli.main", ["worker"], environment))
    await parts.enter_async_context(
        children.run("api", "cli.main", ["api", "--port", str(api_port)], environment)
    )
    await all_serve(children, [f"{api_url}/health/ready"])
    await _worker_polls(children, connection, queues)
    on_started("API and worker", time.monotonic() - began)
    return Stack(
        data_dir=data_dir,
        database_url=postgres.url(),
        api_url=api_url,
        temporal_address=connection["target_host"],
        temporal_ui_url=ui_url,
        paypal_url=simulated.paypal_url,
        stripe_url=simulated.stripe_url,
        twilio_url=simulated.twilio_url,
        receiver_url=simulated.receiver_url,
        environment=environment,
        children=children,
    )


def _environment(
    database_url: str, api_url: str, queues: tuple[str, str], connection: ClientConnectConfig
) -> dict[str, str]:
    return {
        "TOLLGATE_DATABASE_URL": database_url,
        "TOLLGATE_PUBLIC_URL": api_url,
        "TOLLGATE_DRAIN_PERIOD": "PT0S",  # it is the only one
        "TOLLGATE_LIFECYCLE_TASK_QUEUE": queues[0],
        "TOLLGATE_CAMPAIGN_TASK_QUEUE": queues[1],
        "TEMPORAL_ADDRESS": connection["target_host"],
        "TEMPORAL_NAMESPACE": connection.get("namespace") or temporal.NAMESPACE,
    }


def _queues(settings: Settings, *, ours: bool) -> tuple[str, str]:
    """A configured server may have other workers: they must not get our tasks, nor ours theirs."""
    names = settings.lifecycle_task_queue, settings.campaign_task_queue
    if ours:
        return names
    unique = secrets.token_hex(4)
    return f"{names[0]}-{unique}", f"{names[1]}-{unique}"


async def _temporal(
    parts: AsyncExitStack, settings: Settings, data_dir: Path, say: Say
) -> tuple[ClientConnectConfig, str | None]:
    named = temporal_connection()
    if named is not None:
        # otherwise its workers would wait for it silently
        await connect(named, patience=timedelta(0), say=say)
        return named, None
    # temporary data is faster in memory
    kept = data_dir / "temporal.db" if _named(settings) else None
    server = await parts.enter_async_context(
        temporal.serve(data_dir / "temporal.log", settings.cache_dir, db_file=kept, say=say)
    )
    return server.connection, server.ui_url


async def all_serve(children: Children, urls: Sequence[str]) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        for url in urls:
            await _until(children, url, partial(_serves, client, url))


async def _serves(client: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return (await client.get(url)).status_code == 200
    return False


async def _worker_polls(
    children: Children, connection: ClientConnectConfig, queues: Sequence[str]
) -> None:
    client = await connect(connection)
    for queue in queues:
        await _until(children, f"a worker on {queue}", partial(_polled, client, queue))


async def _polled(client: Client, queue: str) -> bool:
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        ),
        timeout=RPC_TIMEOUT,
    )
    return len(answer.pollers) > 0


async def _until(children: Children, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not await holds():
        children.check()
        if time.monotonic() > deadline:
            raise StackFailed(
                f"{what} did not answer within {START_LIMIT:.0f} s:\n{children.last_words()}"
            )
        await asyncio.sleep(0.05)


def _named(settings: Settings) -> bool:
    return "data_dir" in settings.model_fields_set


@contextmanager
def _data_dir(settings: Settings) -> Iterator[Path]:
    if _named(settings):
        yield settings.data_dir.expanduser().absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="tollgate-"))
    directory.chmod(0o711)  # as root, PostgreSQL runs as another user
    try:
        yield directory
    except asyncio.CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    # a failed run keeps its logs
    shutil.rmtree(directory, ignore_errors=True)
