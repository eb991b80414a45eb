"""The next build: a copy of this one with one more migration, which adds a column."""

import shutil
import tomllib
from pathlib import Path

from runtime.migrations import known_revisions

ROOT = Path(__file__).parents[2]
REVISION = "9999"
MIGRATION = f'''"""notes

Revision ID: {REVISION}
Revises: {known_revisions()[-1]}
"""

import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{known_revisions()[-1]}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organizations", sa.Column("note", sa.Text()))


def downgrade() -> None:
    op.drop_column("organizations", "note")
'''


def write(directory: Path) -> dict[str, str]:
    """Copy what an installation consists of, and add the migration; returns the environment that
    makes a process run this build instead of the installed one.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name)
        else:
            shutil.copy2(ROOT / name, directory / name)
    versions = directory / "db" / "migrations" / "versions"
    (versions / f"{REVISION}_notes.py").write_text(MIGRATION)
    return {
        "PYTHONPATH": str(directory),
        "PYTHONSAFEPATH": "1",  # the directory that a process is started in would come first
        "TOLLGATE_BUILD_ID": "next",
    }
