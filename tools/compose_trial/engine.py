"""The Docker engine and Compose, by their command lines."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


class CommandFailed(Exception):
    """A command of the trial failed; the message has the command and what it printed last."""


def run(*command: str, environment: dict[str, str] | None = None, show: bool = False) -> str:
    """What the command printed; with `show`, it prints to standard error meanwhile."""
    ended = subprocess.run(  # noqa: S603 - constants, and names that this module chose
        command,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if show else subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        last = f"{ended.stdout or ''}{ended.stderr or ''}".strip()[-2000:]
        raise CommandFailed(f"{' '.join(command)}: exit status {ended.returncode}\n{last}")
    return ended.stdout or ""


def succeeds(*command: str) -> bool:
    try:
        run(*command)
    except CommandFailed:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Project:
    """One Compose project, apart from any other on this engine. `variables` stand for .env."""

    name: str
    variables: dict[str, str]

    def compose(self, *arguments: str) -> str:
        return run(
            *("docker", "compose", "--progress=quiet", "--project-name", self.name),
            f"--env-file={os.devnull}",
            *("-f", "docker-compose.yml", "-f", "tools/compose_trial/trial.yml"),
            *arguments,
            environment=self.variables,
        )

    def up(self, *, build: bool = False) -> None:
        if build:
            self.compose("build")
        self.compose("up", "--detach", "--wait", "--wait-timeout=600")

    def inspected(self, service: str) -> dict[str, Any]:
        """The service's container, also one that has ended."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        if not container:
            raise CommandFailed(f"{service} has no container")
        [found] = json.loads(run("docker", "inspect", container))
        return dict(found)

    def address(self, service: str, port: int) -> str:
        return f"http://{self.compose('port', service, str(port)).strip()}"

    def crash(self, service: str) -> None:
        """SIGKILL to the service's first process, as the kernel does when memory ends. `docker kill`
        is an operator's stop, after which the engine restarts nothing.
        """
        container = self.inspected(service)
        run(
            *("docker", "run", "--rm", "--pid=host", "--user=0", "--entrypoint=python"),
            f"tollgate:{self.variables['TOLLGATE_BUILD_ID']}",
            *("-c", f"import os; os.kill({container['State']['Pid']}, 9)"),
        )
