"""The linter of migrations refuses what would keep requests waiting or break an older build."""

import shutil
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from runtime import migrations
from tools import migration_lint

MIGRATION = """
from alembic import op

from db.migrations import indexes

revision, down_revision, branch_labels, depends_on = "9999", "{last}", None, None
{says}


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    pass
"""
OLDEST = "oldest_build = '0029'"
INDEX = "indexes.replace(create=('a_idx ON messages (price)',))"
COLUMN = "op.execute('ALTER TABLE messages ADD COLUMN note text')"
DROP = "op.execute('ALTER TABLE messages DROP COLUMN price')"
CHECK = "ALTER TABLE messages ADD CONSTRAINT c CHECK (price > 0)"
UNSAFE = {
    "an index in a transaction": ("op.execute('CREATE INDEX a_idx ON messages (price)')", ""),
    "an index dropped in one": ("op.execute('DROP INDEX messages_newest_idx')", ""),
    "a column that old builds do not fill": (
        "op.execute('ALTER TABLE messages ADD COLUMN note text NOT NULL')",
        "",
    ),
    "a column that they read": (DROP, ""),
    "a table that they read": ("op.drop_table('messages')", ""),
    "another name": ("op.alter_column('messages', 'price', new_column_name='cost')", ""),
    "another type, whichever builds run": (
        "op.execute('ALTER TABLE messages ALTER COLUMN price TYPE int')",
        OLDEST,
    ),
    "a constraint that reads the table": (f"op.execute('{CHECK}')", ""),
    "an index behind what is committed with it": (f"{COLUMN}\n    {INDEX}", ""),
}
SAFE = {
    "an index": (INDEX, ""),
    "an index, then a column": (f"{INDEX}\n    {COLUMN}", ""),
    "a constraint for new rows": (f"op.execute('{CHECK} NOT VALID')", ""),
    "its validation": ("op.execute('ALTER TABLE messages VALIDATE CONSTRAINT c')", ""),
    "a column that no build reads any more": (DROP, OLDEST),
}


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the migrations, which the linter reads."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations._MIGRATIONS, folder)
    monkeypatch.setattr(migrations, "_MIGRATIONS", folder)
    return folder


def problem(directory: Path, upgrade: str, says: str) -> str:
    last = migrations.known_revisions()[-1]
    written = directory / "versions" / "9999_next.py"
    written.write_text(MIGRATION.format(last=last, says=says, upgrade=upgrade))
    scripts = ScriptDirectory.from_config(migrations.alembic_config("postgresql://"))
    return migration_lint.unsafe(scripts.get_revision("9999"))


@pytest.mark.parametrize(("upgrade", "says"), UNSAFE.values(), ids=UNSAFE)
def test_what_blocks_or_breaks_is_refused(directory: Path, upgrade: str, says: str) -> None:
    assert problem(directory, upgrade, says)


@pytest.mark.parametrize(("upgrade", "says"), SAFE.values(), ids=SAFE)
def test_what_does_neither_passes(directory: Path, upgrade: str, says: str) -> None:
    assert problem(directory, upgrade, says) == ""
