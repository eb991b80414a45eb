"""A shell that runs a page's commands as a reader would type them, one block after the other."""

import asyncio
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Block

PATIENCE = 60.0
"""Seconds after which a missing answer fails the test."""
CHANGES = re.compile(r"--json|-d |-X |\$\(")


@dataclass(slots=True)
class Shell:
    process: asyncio.subprocess.Process

    async def run(self, commands: str) -> str:
        """Their output on both streams. Raises if a command fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        end = f"end-{secrets.token_hex(8)}"
        self.process.stdin.write(f"{commands}\nstatus=$?; echo; echo {end} $status\n".encode())
        await self.process.stdin.drain()
        lines: list[str] = []
        while True:
            line = (await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)).decode()
            assert line, f"the shell ended:\n{''.join(lines)}"
            if line.startswith(end):
                assert line.split() == [end, "0"], f"{commands}\n{''.join(lines)}"
                return "".join(lines)
            lines.append(line)

    async def answers(self, commands: Block, wanted: Block) -> None:
        """Run them until they print the expected output; commands that change something run once."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            printed = await self.run(commands.text.replace(".venv/bin/tollgate", "tollgate"))
            problem = differs(printed, wanted)
            if problem is None:
                return
            again = (
                not CHANGES.search(commands.text) and asyncio.get_running_loop().time() < deadline
            )
            assert again, f"line {wanted.line}: {problem}\nit printed:\n{printed}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def shell(environment: Mapping[str, str], cwd: Path = ROOT) -> AsyncIterator[Shell]:
    """bash, with our own commands first on its path; it stops at nothing, but every block's status
    is looked at.
    """
    programs = str(Path(sys.executable).parent)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "--norc",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **environment, "PATH": f"{programs}:{os.environ['PATH']}"},
        limit=2**24,
    )
    try:
        yield Shell(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def differs(printed: str, wanted: Block) -> str | None:
    """How the output differs from the page; None if it does not.

    JSON: every field on the page has the same value. Text: each line occurs, in order. … matches
    anything.
    """
    if wanted.language == "json":
        try:
            return _json_differs(json.loads(printed), json.loads(wanted.text), "")
        except json.JSONDecodeError as problem:
            return f"no JSON: {problem}"
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for line in wanted.text.splitlines():
        pattern = re.escape(" ".join(line.split())).replace("…", ".*")
        if not any(re.search(pattern, found) for found in lines):
            return f"no line {line.strip()!r} after those before it"
    return None


def _json_differs(found: object, shown: object, at: str) -> str | None:
    if isinstance(shown, dict) and isinstance(found, dict):
        for name, value in shown.items():
            if name not in found:
                return f"{at}.{name} is missing"
            problem = _json_differs(found[name], value, f"{at}.{name}")
            if problem is not None:
                return problem
        return None
    if isinstance(shown, list) and isinstance(found, list) and len(shown) == len(found):
        problems = [
            _json_differs(value_found, other, f"{at}[]")
            for value_found, other in zip(found, shown, strict=True)
        ]
        return next((problem for problem in problems if problem is not None), None)
    return None if found == shown else f"{at} is {found!r}, the page shows {shown!r}"
