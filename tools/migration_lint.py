"""Checks migrations for what would keep requests waiting, or break a build that still runs: squawk
reads the statements that Alembic writes in its offline mode. Nothing is connected to.
"""

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import Script, ScriptDirectory

from runtime import migrations

RELEASED = "0025"
"""This one and those before it are not checked: they are applied wherever there are data."""
SQUAWK = Path(sys.executable).with_name("squawk")
NEVER = (
    "require-lock-timeout",  # `migrate` limits every lock, and its statements may take long
    "require-statement-timeout",
    "prefer-bigint-over-int",  # small numbers are small
    "prefer-robust-stmts",  # what is in a transaction needs none, the rest is `indexes.replace`
)
BREAKS_OLDER_BUILDS = (
    "adding-required-field",
    "ban-drop-column",
    "ban-drop-table",
    "renaming-column",
    "renaming-table",
)
"""Allowed where the migration says with `oldest_build` that no older build is in use any more."""
_IN_TRANSACTION = re.compile(r"\bBEGIN;(.*?)\bCOMMIT;", re.DOTALL)


def main() -> int:
    """1 if a migration is unsafe."""
    problems = [problem for script in _unreleased() if (problem := unsafe(script))]
    sys.stderr.write("".join(problems))
    return 1 if problems else 0


def _unreleased() -> list[Script]:
    directory = ScriptDirectory.from_config(migrations.alembic_config("postgresql://"))
    return list(directory.walk_revisions(RELEASED, "heads"))[-2::-1]


def unsafe(script: Script) -> str:
    """What is wrong with a migration; empty if nothing is."""
    sql = statements(script)
    allowed = BREAKS_OLDER_BUILDS if getattr(script.module, "oldest_build", None) else ()
    with tempfile.TemporaryDirectory(prefix="tollgate-migration-") as directory:
        path = Path(directory) / f"{Path(script.path).stem}.sql"
        path.write_text(sql, encoding="utf-8")
        exclude = ",".join((*NEVER, *allowed))
        done = subprocess.run(  # noqa: S603 - the linter of this environment
            [str(SQUAWK), "--pg-version", "18", "--exclude", exclude, str(path)],
            capture_output=True,
            check=False,
            text=True,
        )
    if done.returncode != 0:
        return done.stdout + done.stderr
    if not _repeatable(sql):
        return f"{script.path}: `indexes.replace` commits, so it comes first in `upgrade`\n"
    return ""


def statements(script: Script) -> str:
    """What the migration executes."""
    config = migrations.alembic_config("postgresql://")
    config.output_buffer = io.StringIO()
    command.upgrade(config, f"{script.down_revision}:{script.revision}", sql=True)
    return config.output_buffer.getvalue()


def _repeatable(sql: str) -> bool:
    """Whether nothing is committed before the last index: it would be there when the migration is
    repeated.
    """
    before, found, _ = sql.rpartition(" CONCURRENTLY ")
    committed = "".join(_IN_TRANSACTION.findall(before))
    return not found or not re.sub(r"--.*", "", committed).strip()


if __name__ == "__main__":
    sys.exit(main())
