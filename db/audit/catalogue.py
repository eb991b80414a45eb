"""The schema that the migrations produce, as lines of text; `certify` compares it, so that nothing
is dropped unnoticed.

`python -m tools.catalogue` writes the file next to this module after a migration. It is compared
only if the schema has that revision and the server that major version: another version may format a
definition differently.
"""

from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text

FILE = Path(__file__).with_name("catalogue.txt")
LINES = """
    SELECT replace(line, quote_ident(current_schema()) || '.', '') AS line FROM (
    SELECT 'table ' || relname || CASE relpersistence WHEN 'p' THEN '' ELSE ' UNLOGGED' END AS line
    FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
    UNION ALL
    SELECT 'triggers fire for every role' WHERE NOT EXISTS (
        SELECT FROM pg_db_role_setting, unnest(setconfig) AS setting
        WHERE setting LIKE 'session_replication_role=%' AND setting <> 'session_replication_role=origin')
    UNION ALL
    SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE a.attidentity WHEN '' THEN '' ELSE ' identity ' || a.attidentity::text END
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
    UNION ALL
    SELECT 'constraint ' || c.conrelid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
           || CASE WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled NOT IN ('O', 'A'))
                   THEN ' DISABLED' ELSE '' END
    FROM pg_constraint c WHERE c.connamespace = current_schema()::regnamespace AND c.conrelid <> 0
    UNION ALL
    SELECT 'index ' || pg_get_indexdef(i.indexrelid)
           || CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN '' ELSE ' INVALID' END
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'trigger ' || pg_get_triggerdef(t.oid) || CASE WHEN t.tgenabled IN ('O', 'A') THEN '' ELSE ' DISABLED' END
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure || ' ' || encode(sha256(convert_to(replace(
               CASE p.prokind WHEN 'a' THEN (SELECT aggtransfn::text FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
                              ELSE pg_get_functiondef(p.oid) END,
               quote_ident(current_schema()) || '.', ''), 'UTF8')), 'hex')
    FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
    ) lines
"""
SERVER = "current_setting('server_version_num')::int / 10000"


@cache
def expected() -> tuple[str, str, tuple[str, ...]]:
    """The server's major version, the revision, and the lines."""
    server, revision, *lines = FILE.read_text(encoding="utf-8").splitlines()
    return server.removeprefix("PostgreSQL "), revision.removeprefix("revision "), tuple(lines)


def written(connection: Connection) -> str:
    """The file's text for a freshly migrated database."""
    lines = sorted(connection.execute(text(LINES.replace(":", r"\:"))).scalars())
    server = connection.execute(text(f"SELECT {SERVER}".replace(":", r"\:"))).scalar_one()
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    return "\n".join((f"PostgreSQL {server}", f"revision {revision}", *lines, ""))
