"""The images that the Compose file names: pulled, or, where no registry is reached, stand-ins with
the same programs, which are removed afterwards.
"""

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.compose_trial.engine import ROOT, CommandFailed, Project, run, succeeds

HERE = Path(__file__).parent / "stand_ins"
BASE = "tollgate-trial-base"
LABEL = "tollgate.stand-in"
SUITES = {
    "bookworm": ("ca-certificates", "netcat-openbsd", "python3", "python3-pip", "python3-venv"),
    "forky": ("ca-certificates",),
}
"""Debian's releases for the stand-ins, with packages: that of Python 3.11, and that of
PostgreSQL 18.
"""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PYTHON = "python:3.11-slim"
GO = {
    "temporal-server": "go.temporal.io/server/cmd/server",
    "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
    "temporal": "github.com/temporalio/cli/cmd/temporal",
    "ui-server": "github.com/temporalio/ui-server/v2/cmd/server",
}
FILES = {"go.temporal.io/server": "schema", "github.com/temporalio/ui-server/v2": "config"}
"""Programs of Temporal, and files of its modules, all of the versions that tools/temporal/go.mod names."""


def provide(project: Project) -> list[str]:
    """Make every image available; returns those that are stand-ins."""
    named = project.compose("config", "--images").split()
    images = sorted({name for name in named if not name.startswith("tollgate:")} | {PYTHON})
    missing = [image for image in images if not _here(image) and not _pulled(image)]
    if missing:
        print("No registry gives", ", ".join(missing), "- making stand-ins")  # noqa: T201
        _make(missing)
    return [image for image in images if _is_stand_in(image)]


def remove(stand_ins: list[str], builds: list[str]) -> None:
    """Nobody else must take a stand-in for the image whose name it has."""
    bases = [f"{BASE}:{suite}" for suite in SUITES] if stand_ins else []
    for image in (*stand_ins, *bases, *builds):
        if _here(image):
            run("docker", "rmi", "--force", image)


def _here(image: str) -> bool:
    return succeeds("docker", "image", "inspect", image)


def _is_stand_in(image: str) -> bool:
    labels = run("docker", "image", "inspect", "--format={{json .Config.Labels}}", image)
    return LABEL in (json.loads(labels) or {})


def _pulled(image: str) -> bool:
    return succeeds("docker", "pull", "--quiet", image)


def _make(images: list[str]) -> None:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise CommandFailed(
            "the stand-ins are made by debootstrap, as root: apt-get install debootstrap"
        )
    with TemporaryDirectory(prefix="tollgate-stand-ins-") as folder:
        context = Path(folder)
        for suite, packages in SUITES.items():
            if not _here(f"{BASE}:{suite}"):
                _base(suite, packages, context / "root")
        if any(image.startswith("temporalio/") for image in images):
            _temporal(context / "temporal")
        for each in HERE.iterdir():
            shutil.copy(each, context)
        for image in images:
            name = image.partition(":")[0].replace("temporalio/", "temporal-")
            run(
                *("docker", "build", "--quiet", "--tag", image, f"--label={LABEL}="),
                *("--file", str(context / f"{name}.Dockerfile"), str(context)),
            )


def _base(suite: str, packages: tuple[str, ...], root: Path) -> None:
    script = "/usr/share/debootstrap/scripts/sid"
    run(
        *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite),
        *(str(root), "http://deb.debian.org/debian", script),
        show=True,
    )
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))  # those that this host trusts
    archive = root.parent / "root.tar"
    run("tar", "--create", f"--directory={root}", f"--file={archive}", ".")
    shutil.rmtree(root)
    run("docker", "import", str(archive), f"{BASE}:{suite}")
    archive.unlink()


def _temporal(to: Path) -> None:
    """Built from the module that the development server is built from."""
    source = to / "source"
    shutil.copytree(ROOT / "tools" / "temporal", source)
    programs = to / "bin"
    programs.mkdir()
    flags = ("-mod=mod", "-ldflags=-s -w")
    for name, package in GO.items():
        run("go", "-C", str(source), "build", *flags, "-o", str(programs / name), package)
    for module, folder in FILES.items():
        where = run("go", "-C", str(source), "list", "-mod=mod", "-m", "-f={{.Dir}}", module)
        shutil.copytree(Path(where.strip()) / folder, to / folder)
    shutil.rmtree(source)
