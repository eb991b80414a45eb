"""A Temporal dev server as a child process: for demo, development and tests without
TEMPORAL_ADDRESS.

Its program is searched on PATH, in our cache, by the SDK's own download and by a Go build, in that
order.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.testing import WorkflowEnvironment

from devservers import subprocesses
from devservers.ports import free_ports
from runtime.search_attributes import SEARCH_ATTRIBUTES

CLI_VERSION = "1.8.2"
START_LIMIT = 60.0
DOWNLOAD_LIMIT = 300.0
NAMESPACE = "default"
_GO_MODULE = Path(__file__).parent.parent / "tools" / "temporal"
_HOST = "127.0.0.1"

# The defaults suit a shared machine; on a dedicated one they make each activity wait 100 ms.
DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.shardIOConcurrency": "16",
    "history.enableHostLevelEventsCache": "true",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}

Say = Callable[[str], None]


class NoTemporal(Exception):
    """No dev server could be found or started; the message lists the attempts and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevServer:
    """A running dev server. `ui_url` is None without its UI."""

    address: str
    ui_url: str | None
    pid: int

    @property
    def connection(self) -> ClientConnectConfig:
        return ClientConnectConfig(target_host=self.address, namespace=NAMESPACE)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@asynccontextmanager
async def serve(
    log: Path,
    cache_dir: Path,
    *,
    ui: bool = True,
    port: int | None = None,
    db_file: Path | None = None,
    say: Say = _say,
) -> AsyncIterator[DevServer]:
    """Start a dev server on free ports, and stop it at the end. Without a `db_file` it stores
    nothing.

    Call it from the main thread (see `devservers.subprocesses`). Its output goes to `log`.
    """
    program = await find_program(cache_dir, say)
    free_port, ui_port = free_ports(2)
    port = port or free_port
    process = _launch(program, port, ui_port if ui else None, log, db_file)
    address = f"{_HOST}:{port}"
    try:
        await _healthy(address, process, log)
        ui_url = f"http://{_HOST}:{ui_port}" if ui else None
        yield DevServer(address=address, ui_url=ui_url, pid=process.pid)
    finally:
        subprocesses.stop(process, signal.SIGTERM)


async def find_program(cache_dir: Path, say: Say = _say) -> Path:
    """The path of a Temporal CLI; may download it (seconds) or build it (minutes), once. Raises
    NoTemporal.
    """
    if (on_path := shutil.which("temporal")) is not None:
        return Path(on_path)
    cached = _in_cache(cache_dir)
    if cached.exists():
        return cached
    refusals = []
    for obtain in (_download, _build):
        try:
            with tempfile.TemporaryDirectory(dir=cached.parent) as workplace:
                (await obtain(Path(workplace), say)).replace(cached)
        except _Unobtainable as problem:
            refusals.append(str(problem))
        else:
            return cached
    raise NoTemporal(
        "no Temporal server. Set TEMPORAL_ADDRESS to one that runs, or make one of these work: "
        f"1. a `temporal` on PATH (there is none); 2. our cache ({cached} does not exist); "
        f"3. {refusals[0]}; 4. {refusals[1]}."
    )


class _Unobtainable(Exception):
    """This source of a program is unavailable; the message says why, as part of a list."""


def _in_cache(cache_dir: Path) -> Path:
    directory = cache_dir.expanduser().absolute()
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"temporal-{CLI_VERSION}"


async def _download(workplace: Path, say: Say) -> Path:
    """The SDK only downloads a server by starting it, so it is started once and stopped."""
    say(f"looking for a download of the Temporal dev server {CLI_VERSION}")
    try:
        async with asyncio.timeout(DOWNLOAD_LIMIT):
            server = await WorkflowEnvironment.start_local(
                download_dest_dir=str(workplace),
                dev_server_download_version=f"v{CLI_VERSION}",
                dev_server_startup_timeout=timedelta(seconds=START_LIMIT),
            )
            await server.shutdown()
    except (RuntimeError, TimeoutError) as problem:
        raise _Unobtainable(
            f"the SDK's download (it failed: {str(problem).splitlines()[0][:200]})"
        ) from problem
    return _only_program(workplace)


def _only_program(directory: Path) -> Path:
    """The SDK names the file as it likes."""
    programs = [path for path in directory.iterdir() if path.is_file() and os.access(path, os.X_OK)]
    if len(programs) != 1:
        raise _Unobtainable(f"the SDK's download (it left {len(programs)} programs, not one)")
    return programs[0]


async def _build(workplace: Path, say: Say) -> Path:
    go = shutil.which("go")
    if go is None or not _GO_MODULE.exists():
        missing = "there is no `go` on PATH" if go is None else f"there is no {_GO_MODULE}"
        raise _Unobtainable(f"a build with Go ({missing})")
    say(
        f"building the Temporal dev server {CLI_VERSION} with Go: once, 3 to 4 minutes on two cores"
    )
    built = workplace / "temporal"
    # `env` and not a changed os.environ: HOME may be unset, and Go has no cache without it
    environment = ["env", f"HOME={Path.home()}", "CGO_ENABLED=0", "GOWORK=off"]
    options = ["-v", "-trimpath", "-ldflags=-s -w", "-o", str(built)]
    process = await asyncio.create_subprocess_exec(
        *environment, go, "build", *options, "github.com/temporalio/cli/cmd/temporal",
        cwd=_GO_MODULE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        last_words = await _watch_build(process, say)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise _Unobtainable(f"a build with Go (it failed: {last_words})")
    return built


async def _watch_build(process: asyncio.subprocess.Process, say: Say) -> str:
    assert process.stderr is not None
    began = reported = time.monotonic()
    packages, last = 0, ""
    async for line in process.stderr:
        packages, last = packages + 1, line.decode(errors="replace").strip()
        if time.monotonic() - reported >= 10:
            reported = time.monotonic()
            say(f"building the Temporal dev server: {reported - began:.0f} s, {packages} packages")
    await process.wait()
    return last


def _launch(
    program: Path, port: int, ui_port: int | None, log: Path, db_file: Path | None
) -> subprocess.Popen[bytes]:
    command = [
        str(program),
        "server",
        "start-dev",
        "--ip",
        _HOST,
        "--port",
        str(port),
        "--namespace",
        NAMESPACE,
    ]
    command += ["--log-level", "warn", "--log-format", "json"]
    command += (
        ["--headless"]
        if ui_port is None
        else ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]
    )
    command += ["--db-filename", str(db_file.expanduser().absolute())] if db_file else []
    for name, kind in SEARCH_ATTRIBUTES.items():
        command += ["--search-attribute", f"{name}={kind}"]
    for name, value in DYNAMIC_CONFIG.items():
        command += ["--dynamic-config-value", f"{name}={value}"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocesses.spawn(command, stop_signal=signal.SIGTERM, output=output)


async def _healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        if await _listens(address):
            with contextlib.suppress(RuntimeError):
                client = await Client.connect(address, namespace=NAMESPACE)
                if await client.service_client.check_health(timeout=timedelta(seconds=5)):
                    return
        await asyncio.sleep(0.05)
    why = (
        "did not become healthy"
        if process.poll() is None
        else f"ended with status {process.returncode}"
    )
    raise NoTemporal(f"the Temporal dev server {why}; the end of {log}:\n{subprocesses.tail(log)}")


async def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
