"""Starts servers that end with the process that started them, however it ends.

Run as a script it is the launcher in between: it drops root if requested, asks the kernel for a
signal at its parent's death, and becomes the command. A `preexec_fn` would do this in a fork of a
process that has threads.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1


def spawn(
    command: Sequence[str],
    *,
    stop_signal: signal.Signals,
    output: IO[bytes],
    user: tuple[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command`; it receives `stop_signal` when this process dies, however it dies (Linux
    only).

    Call it from the main thread: to the kernel the parent is the thread that forked. The child has
    its own session, so that Ctrl-C reaches only this process, which decides the order of stopping.
    `user` is a uid and a gid to run as; `environment` is added to ours.
    """
    uid, gid = user or (os.geteuid(), os.getegid())
    launcher = [
        sys.executable,
        "-I",
        "-S",
        __file__,
        str(int(stop_signal)),
        str(uid),
        str(gid),
        str(os.getpid()),
    ]
    return subprocess.Popen(
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
        env={**os.environ, **(environment or {})},
    )


def stop(child: subprocess.Popen[bytes], stop_signal: signal.Signals, patience: float = 20) -> None:
    """Ask the child to end, then kill it. Returns when it is gone."""
    if child.poll() is not None:
        return
    child.send_signal(stop_signal)
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def _become(arguments: list[str]) -> None:
    stop_signal, uid, gid, parent = (int(number) for number in arguments[:4])
    command = arguments[4:]
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # after the change of user, which would reset it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    _become(sys.argv[1:])
