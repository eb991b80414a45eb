"""Tables and migrations agree, and every migration can be reverted."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

import db.audit.catalogue
from db.tables import APPEND_ONLY, metadata
from runtime import migrations
from tests.world import LIMIT

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
        command.check(migrations.alembic_config(database_url, connection))
    engine.dispose()


def test_going_down_leaves_nothing_and_coming_up_again_leaves_the_same(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        before = catalogue(connection)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "base")
        left = inspect(connection).get_table_names()
        functions = connection.execute(
            text("SELECT count(*) FROM pg_proc WHERE proname = 'refuse_changes'")
        ).scalar()
    migrations.migrate(database_url)
    with engine.connect() as connection:
        after = catalogue(connection)
    engine.dispose()

    assert left == ["alembic_version"]
    assert functions == 0
    assert after == before


def test_migrating_what_is_at_head_changes_nothing(database_url: str) -> None:
    migrations.migrate(database_url)
    migrations.migrate(database_url)


def test_a_migration_gives_up_a_table_that_somebody_holds_and_succeeds_later(
    database_url: str,
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "0026")
    with engine.connect() as reader:
        reader.execute(text("LOCK TABLE topups IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError) as refused:
            migrations.migrate(database_url, patience=timedelta(0))
    engine.dispose()

    assert isinstance(refused.value.orig, psycopg.errors.LockNotAvailable)
    assert migrations.migrate(database_url) == migrations.known_revisions()[-1]


def test_a_migration_tries_a_held_table_again_and_keeps_nobody_waiting_meanwhile(
    database_url: str,
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "0026")
    with engine.connect() as reader, ThreadPoolExecutor() as threads:
        reader.execute(text("LOCK TABLE topups IN ACCESS SHARE MODE"))
        migrating = threads.submit(migrations.migrate, database_url)
        _wait_for(
            engine, "SELECT FROM pg_locks WHERE NOT granted AND relation = 'topups'::regclass"
        )
        with engine.connect() as caller:  # it waits behind the migration, which gives way
            caller.execute(text("SELECT FROM topups"))
        assert not migrating.done()
        reader.commit()
        assert migrating.result() == migrations.known_revisions()[-1]
    engine.dispose()


@pytest.mark.parametrize(
    ("before", "table", "change"),
    [
        ("0025", "messages", "DELETE FROM messages"),
        ("0026", "ledger_entries", "INSERT INTO ledger_entries SELECT * FROM ledger_entries"),
        ("0027", "inbox", "DELETE FROM inbox"),
    ],
)
def test_an_index_is_built_while_a_table_is_written_to(
    database_url: str, before: str, table: str, change: str
) -> None:
    """A transaction that writes holds the build up, and others write on."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), before)
    with engine.connect() as writer, ThreadPoolExecutor() as threads:
        writer.execute(text(change))
        migrating = threads.submit(migrations.migrate, database_url)
        _wait_for(engine, "SELECT FROM pg_index WHERE NOT indisvalid")
        with engine.begin() as another:
            another.execute(text("SET LOCAL lock_timeout = 1000"))
            another.execute(text(change))
        writer.commit()
        assert migrating.result() == migrations.known_revisions()[-1]
    engine.dispose()


def test_a_migration_that_was_killed_while_it_built_an_index_is_repeated(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        whole = catalogue(connection)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "0025")
    with engine.connect() as writer, ThreadPoolExecutor() as threads:
        writer.execute(text("DELETE FROM messages"))
        migrating = threads.submit(migrations.migrate, database_url)
        invalid = "SELECT FROM pg_index WHERE NOT indisvalid"
        _wait_for(engine, invalid)
        with engine.begin() as operator:
            operator.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'tollgate migrate' AND datname = current_database()"
                )
            )
        assert isinstance(migrating.exception(), OperationalError)
    with engine.connect() as connection:
        assert connection.execute(text(invalid)).first() is not None

    migrations.migrate(database_url)

    with engine.connect() as connection:
        assert connection.execute(text(invalid)).first() is None
        assert catalogue(connection) == whole
    engine.dispose()


def test_two_that_migrate_at_once_do_not_wait_for_each_other_for_ever(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "0025")
    engine.dispose()
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(migrations.migrate, database_url) for _ in range(2)]

    assert {each.result() for each in both} == {migrations.known_revisions()[-1]}


def test_the_limits_of_the_role_do_not_end_a_migration(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.downgrade(migrations.alembic_config(database_url, connection), "base")
    engine.dispose()

    assert migrations.migrate(f"{database_url}&options=-cstatement_timeout%3D20")


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
        config = migrations.alembic_config(database_url, connection)
        command.downgrade(config, "0022")
        rows = [("a", "migration_stuck"), ("b", "migration_stuck"), ("b", "switch_stuck")]
        for organization_id, kind in rows:
            connection.execute(insert, {"id": organization_id, "kind": kind})
    migrations.migrate(database_url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT organization_id, kind FROM alerts ORDER BY 1, 2"))
        renamed = [tuple(row) for row in found]
    engine.dispose()

    assert renamed == [("a", "switch_stuck"), ("b", "switch_stuck")]


def _wait_for(engine: Engine, rows: str) -> None:
    """Wait until the statement finds a row."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.execute(text(rows)).first() is not None:
                return
    raise AssertionError(f"nothing came of {rows}")
