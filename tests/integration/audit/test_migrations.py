"""Tables and migrations agree, and every migration can be reverted."""

import psycopg
import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

import db.audit.catalogue
from db.tables import APPEND_ONLY, metadata
from runtime import database

CATALOGUE = """
SELECT 'column', table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
       || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
ORDER BY 1, 2
"""


def catalogue(connection: Connection) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(text(CATALOGUE))]


def test_tables_and_migrations_do_not_drift_apart(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.check(database.alembic_config(database_url, connection))
    engine.dispose()


def test_going_down_leaves_nothing_and_coming_up_again_leaves_the_same(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        before = catalogue(connection)
    with engine.begin() as connection:
        command.downgrade(database.alembic_config(database_url, connection), "base")
        left = inspect(connection).get_table_names()
        functions = connection.execute(
            text("SELECT count(*) FROM pg_proc WHERE proname = 'refuse_changes'")
        ).scalar()
    database.migrate(database_url)
    with engine.connect() as connection:
        after = catalogue(connection)
    engine.dispose()

    assert left == ["alembic_version"]
    assert functions == 0
    assert after == before


def test_migrating_what_is_at_head_changes_nothing(database_url: str) -> None:
    database.migrate(database_url)
    database.migrate(database_url)


def test_a_migration_gives_up_a_table_that_somebody_holds_and_succeeds_later(
    database_url: str,
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(database.alembic_config(database_url, connection), "0026")
    with engine.connect() as reader:
        reader.execute(text("LOCK TABLE topups IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError) as refused:
            database.migrate(database_url)
    engine.dispose()

    assert isinstance(refused.value.orig, psycopg.errors.LockNotAvailable)
    assert database.migrate(database_url) == database.known_revisions()[-1]


def test_the_limits_of_the_role_do_not_end_a_migration(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(database.alembic_config(database_url, connection), "base")
    engine.dispose()

    assert database.migrate(f"{database_url}&options=-cstatement_timeout%3D20")


def test_the_same_checks_hold_whether_migrated_or_made_from_the_tables(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        migrated = _checks(connection)
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        metadata.create_all(connection)
        created = _checks(connection)
    engine.dispose()

    assert created == migrated


def test_certify_knows_what_the_migrations_make(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        written = db.audit.catalogue.written(connection)
    engine.dispose()

    assert written == db.audit.catalogue.FILE.read_text(encoding="utf-8"), (
        "run python -m tools.catalogue"
    )


def test_every_append_only_table_has_its_trigger(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        found = [
            row for kind, row in catalogue(connection) if kind == "trigger" and "append_only" in row
        ]
    engine.dispose()

    assert len(found) == len(APPEND_ONLY)
    assert all("UPDATE" in row and "DELETE" in row and "TRUNCATE" in row for row in found)


def _checks(connection: Connection) -> list[tuple[str, str]]:
    """The CHECKs, which `alembic check` does not compare."""
    query = """
        SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype = 'c' ORDER BY 1
    """
    return [(row[0], row[1]) for row in connection.execute(text(query))]


def test_a_stuck_switch_is_still_an_alert_after_its_kind_was_renamed(database_url: str) -> None:
    engine = create_engine(database_url)
    insert = text("INSERT INTO alerts (organization_id, kind, detail) VALUES (:id, :kind, 'x')")
    with engine.begin() as connection:
        config = database.alembic_config(database_url, connection)
        command.downgrade(config, "0022")
        rows = [("a", "migration_stuck"), ("b", "migration_stuck"), ("b", "switch_stuck")]
        for organization_id, kind in rows:
            connection.execute(insert, {"id": organization_id, "kind": kind})
        command.upgrade(config, "head")
        found = connection.execute(text("SELECT organization_id, kind FROM alerts ORDER BY 1, 2"))
        renamed = [tuple(row) for row in found]
    engine.dispose()

    assert renamed == [("a", "switch_stuck"), ("b", "switch_stuck")]
