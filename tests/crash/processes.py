"""Tollgate's processes as an operator runs them, in a test's world; each can be killed by its pid,
and its log read.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devservers import subprocesses
from simulators.paypal.app import CLIENT_ID, CLIENT_SECRET
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from tests.world import WEBHOOK_ID, World, until


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """Like a power cut: none of its processes runs when this returns."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    async def terminate(self) -> int:
        """Like a deployment; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 40)

    async def says(self, event: str) -> None:
        """Wait for an event in the log."""

        async def logged() -> bool:
            assert self.process.poll() is None, f"it ended:\n{subprocesses.tail(self.log)}"
            return event in self.log.read_text()

        await until(logged, f"{event} in {self.log.name}")


def environment(world: World, **changes: str) -> dict[str, str]:
    """The environment of a process in this world, with `changes` applied."""
    settings, connection = world.services.settings, world.services.client.service_client.config
    return {
        "TOLLGATE_DATABASE_URL": world.services.engine.url.render_as_string(hide_password=False),
        "TOLLGATE_PUBLIC_URL": settings.public_url,
        "TOLLGATE_LIFECYCLE_TASK_QUEUE": settings.lifecycle_task_queue,
        "TOLLGATE_CAMPAIGN_TASK_QUEUE": settings.campaign_task_queue,
        "TOLLGATE_BUILD_ID": "test",
        "TOLLGATE_DRAIN_PERIOD": "PT0S",
        "TEMPORAL_ADDRESS": connection.target_host,
        "TOLLGATE_PAYPAL_BASE_URL": world.paypal.url,
        "TOLLGATE_PAYPAL_CLIENT_ID": CLIENT_ID,
        "TOLLGATE_PAYPAL_CLIENT_SECRET": CLIENT_SECRET,
        "TOLLGATE_PAYPAL_WEBHOOK_IDS": WEBHOOK_ID,
        "TOLLGATE_PAYPAL_CERT_ORIGINS": world.paypal.url,
        "TOLLGATE_PAYPAL_CA_FILE": str(settings.data_dir / "ca.pem"),
        "TOLLGATE_STRIPE_BASE_URL": world.stripe.url,
        "TOLLGATE_STRIPE_API_KEY": API_KEY,
        "TOLLGATE_STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET,
        "TOLLGATE_TWILIO_BASE_URL": world.twilio.url,
        "TOLLGATE_TWILIO_ACCOUNT_SID": MAIN_SID,
        "TOLLGATE_TWILIO_AUTH_TOKEN": MAIN_TOKEN,
        **changes,
    }


@asynccontextmanager
async def worker(
    world: World, name: str = "worker", *options: str, **changes: str
) -> AsyncIterator[Running]:
    """`python -m cli.main worker` on both queues, killed at the end if it still runs."""
    async with _running(
        world, name, ["worker", *options], environment(world, **changes)
    ) as started:
        await started.says("worker_started")
        yield started


@asynccontextmanager
async def api(world: World, port: int, name: str = "api", **changes: str) -> AsyncIterator[Running]:
    """`python -m cli.main api`, which need not answer yet."""
    async with _running(
        world, name, ["api", "--port", str(port)], environment(world, **changes)
    ) as started:
        yield started


async def migrate(world: World, **changes: str) -> None:
    """`python -m cli.main migrate`, to its end."""
    async with _running(world, "migrate", ["migrate"], environment(world, **changes)) as started:
        status = await asyncio.to_thread(started.process.wait, 60)
        assert status == 0, subprocesses.tail(started.log)


@asynccontextmanager
async def _running(
    world: World, name: str, arguments: list[str], given: Mapping[str, str]
) -> AsyncIterator[Running]:
    log = world.services.settings.data_dir / f"{name}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "cli.main", *arguments]
        process = subprocesses.spawn(
            command, stop_signal=signal.SIGKILL, output=output, environment=given
        )
    running = Running(process, log)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.kill()
