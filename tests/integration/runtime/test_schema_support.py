"""Which schemas a build works with, and what a migration says about builds."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from db.migrations.schema_support import Schema
from db.tables import metadata
from runtime import migrations

FIRST, *_, LAST = migrations.known_revisions()
NEXT = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{last}", None, None
{says}


def upgrade() -> None:
    op.execute("ALTER TABLE organizations ADD COLUMN note text")


def downgrade() -> None:
    op.execute("ALTER TABLE organizations DROP COLUMN note")
"""


@pytest.mark.parametrize(
    ("schema", "usable"),
    [
        (Schema(None), False),
        (Schema(FIRST), False),
        (Schema(migrations.oldest_usable()), True),
        (Schema(LAST, oldest_build=FIRST), True),
        (Schema("9999", oldest_build=LAST), True),
        (Schema("9999", oldest_build="9998"), False),
    ],
)
def test_a_build_works_between_what_it_needs_and_what_supports_it(
    schema: Schema, usable: bool
) -> None:
    assert (migrations.schema_problem(schema) is None) == usable


def test_all_that_the_build_reads_and_writes_is_in_the_oldest_schema_that_it_accepts(
    database_url: str,
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    migrations.migrate(database_url, migrations.oldest_usable())
    found = inspect(engine)
    columns = {
        (table, column["name"])
        for table in found.get_table_names()
        for column in found.get_columns(table)
    }
    engine.dispose()

    assert {
        (table.name, column.name) for table in metadata.tables.values() for column in table.columns
    } <= columns


@pytest.fixture
def next_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A build of one more migration; returns that migration's file."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations._MIGRATIONS, folder)
    monkeypatch.setattr(migrations, "_MIGRATIONS", folder)
    migrations._revisions.cache_clear()
    return folder / "versions" / "9999_notes.py"


@pytest.mark.parametrize(
    ("says", "oldest_usable", "oldest_build"),
    [
        ("", "9999", "0028"),
        ("needed = False", migrations.oldest_usable(), "0028"),
        (f"oldest_build = '{LAST}'", "9999", LAST),
    ],
)
def test_a_migration_says_whether_its_build_needs_it_and_which_builds_bear_it(
    database_url: str, next_build: Path, says: str, oldest_usable: str, oldest_build: str
) -> None:
    next_build.write_text(NEXT.format(last=LAST, says=says))
    try:
        assert migrations.migrate(database_url) == "9999"
        assert migrations.oldest_usable() == oldest_usable
    finally:
        migrations._revisions.cache_clear()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT oldest_build FROM schema_support")).scalar_one()
    engine.dispose()
    assert found == oldest_build
