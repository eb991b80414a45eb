"""The demo as a newcomer runs it: the whole story from one command, and no process left however it
ends.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "cli.main", "demo"]
LIMIT = 120.0
CHAPTERS = (
    "1  An organization is onboarded, and pays",
    "2  A campaign of 300 messages runs, and the subscription is suspended",
    "3  The three are in step: Twilio suspended, wallet frozen, campaign parked",
    "4  Repeated and late webhooks change nothing",
    "5  The subscription is paid: everything continues where it stopped",
    "6  Another organization pays by Stripe: the same steps, the same receipts",
    "7  Its credentials leak: what is sent past Tollgate is paid for, too",
    "8  tollgate certify proves it on the database",
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path that every user may enter, where the demo makes its temporary directory."""
    path = Path(tempfile.mkdtemp(prefix="tg-e2e-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@dataclass(slots=True)
class Run:
    """A running demo. `seen` is its output so far."""

    process: subprocess.Popen[str]
    seen: str = ""

    def until(self, text: str) -> None:
        """Read on until a line with this text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen += line
            if text in line:
                return
        pytest.fail(f"the demo ended without {text!r}:\n{self.seen}")

    def ends(self) -> int:
        rest, _ = self.process.communicate(timeout=LIMIT)
        self.seen += rest
        return self.process.returncode


@contextlib.contextmanager
def started(place: Path) -> Iterator[Run]:
    with subprocess.Popen(
        DEMO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield Run(process)
        finally:
            process.kill()


def processes_below(pid: int) -> dict[int, str]:
    """Every descendant process of `pid`: pid and command line."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    found: dict[int, str] = {}
    seen = {pid}
    for _ in rows:
        new = {
            int(child): args[0]
            for child, parent, *args in rows
            if int(parent) in seen and int(child) not in seen
        }
        if not new:
            break
        found |= new
        seen |= new.keys()
    return {child: command for child, command in found.items() if not command.startswith("ps ")}


def still_there(processes: dict[int, str], patience: float = 15.0) -> dict[int, str]:
    """The processes that still run when the limit is reached."""
    deadline = time.monotonic() + patience
    left = processes
    while left and time.monotonic() < deadline:
        left = {pid: command for pid, command in left.items() if _runs(pid)}
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_the_demo_tells_the_whole_story_and_every_guarantee_holds(place: Path) -> None:
    with started(place) as demo:
        demo.until("API and worker")
        below = processes_below(demo.process.pid)
        status = demo.ends()

    assert status == 0, demo.seen
    lines = demo.seen.splitlines()
    assert [line for line in lines if line in CHAPTERS] == list(CHAPTERS)
    assert "0 debits, 0 messages" in demo.seen
    assert (
        "every recipient got one message, every message was paid once: 300 x 0.0125 USD"
        in demo.seen
    )
    assert "Twilio's total 1.8075 USD = paid 1.8075 + absorbed 0.00 + unpaid 0.00" in demo.seen
    assert "all guarantees hold" in lines
    assert "the Temporal UI was at http://127.0.0.1:" in demo.seen
    assert "docs at http://127.0.0.1:" in demo.seen
    assert len(below) >= 6
    assert still_there(below) == {}
    assert list(place.iterdir()) == []


def test_ctrl_c_in_the_middle_of_the_campaign_leaves_nothing_behind(place: Path) -> None:
    with started(place) as demo:
        demo.until("messages are at Twilio")
        below = processes_below(demo.process.pid)
        demo.process.send_signal(signal.SIGINT)
        status = demo.ends()

        assert status == 130, demo.seen
        assert "Traceback" not in demo.seen
        assert still_there(below) == {}
        assert list(place.iterdir()) == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells children of their parent's death"
)
def test_a_killed_demo_takes_its_processes_with_it(place: Path) -> None:
    with started(place) as demo:
        demo.until("API and worker")
        below = processes_below(demo.process.pid)
        demo.process.kill()

        assert len(below) >= 6
        assert still_there(below, patience=45) == {}


def test_a_worker_that_dies_ends_the_demo_with_1_and_the_end_of_its_log(place: Path) -> None:
    with started(place) as demo:
        demo.until("onboarded")
        below = processes_below(demo.process.pid)
        [worker] = [pid for pid, command in below.items() if "cli.main worker" in command]
        os.kill(worker, signal.SIGKILL)
        status = demo.ends()

        assert status == 1, demo.seen
        assert "worker ended with status -9" in demo.seen
        assert "worker_started" in demo.seen
        [kept] = list(place.iterdir())
        assert (kept / "worker.log").exists()
        assert still_there(below) == {}
