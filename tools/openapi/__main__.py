"""What is done with the OpenAPI document, without a server:

`python -m tools.openapi write FILE`; `lint` checks it; `clients` generates clients and compiles
them. The last two need what `make .venv/openapi/.ready` installs.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from api.app import create_app

HERE = Path(__file__).parent
INSTALLED = HERE.parent.parent / ".venv" / "openapi"
PROGRAMS = (INSTALLED / "node_modules" / ".bin", INSTALLED / "python" / "bin")
OFFLINE = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
CLIENT = "tollgate_client"


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(create_app().openapi(), indent=2) + "\n", encoding="utf-8")


def lint() -> None:
    """By tools/openapi/redocly.yaml."""
    write(INSTALLED / "openapi.json")
    _run(
        *("redocly", "lint", "openapi.json", f"--config={HERE / 'redocly.yaml'}"),
        *("--format=stylish", "--max-problems=1000"),
        where=INSTALLED,
    )


def clients() -> None:
    """Only to see that they compile: nothing stays."""
    with TemporaryDirectory(prefix="tollgate-clients-") as folder:
        where = Path(folder)
        write(where / "openapi.json")
        _python_client(where)
        _typescript_client(where)


def _python_client(where: Path) -> None:
    _run(
        *("openapi-python-client", "generate", "--fail-on-warning", "--meta=none"),
        *("--path=openapi.json", f"--output-path={CLIENT}"),
        f"--config={HERE / 'python-client.yaml'}",
        where=where,
    )
    shutil.copy(HERE / "uses_client.py", where)
    _run("python", "-m", "compileall", "-q", CLIENT, where=where)
    _run("mypy", f"--config-file={HERE / 'pyproject.toml'}", "uses_client.py", CLIENT, where=where)
    _run("python", "-W", "error", "uses_client.py", where=where)


def _typescript_client(where: Path) -> None:
    _run(
        *("openapi-typescript", "openapi.json", "--output=schema.d.ts"),
        "--default-non-nullable=false",  # a field that has a default may be left out
        where=where,
    )
    shutil.copy(HERE / "uses_client.ts", where)
    _run("tsc", "--strict", "--noEmit", "--target", "es2022", "uses_client.ts", where=where)


def _run(*command: str, where: Path) -> None:
    """Shows what it printed only if it failed."""
    programs = os.pathsep.join(str(folder) for folder in PROGRAMS)
    environment = {**os.environ, **OFFLINE, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    program = shutil.which(command[0], path=environment["PATH"]) or command[0]
    ended = subprocess.run(  # noqa: S603 - commands of this module
        [program, *command[1:]],
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ended.stdout}")


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["write", path]:
            write(Path(path))
        case ["lint"]:
            lint()
        case ["clients"]:
            clients()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
