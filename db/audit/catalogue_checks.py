"""The check that the tables still enforce every constraint of the migrations."""

from db.audit.catalogue import LINES, SERVER, expected
from db.audit.checks import Check


def _sql() -> str:
    server, revision, lines = expected()
    values = ", ".join(f"({_quoted(line)})" for line in lines)
    return f"""
        WITH expected (line) AS (SELECT * FROM (VALUES {values}) lines (line) WHERE {SERVER} = {server}
            AND {_quoted(revision)} = (SELECT min(version_num) FROM alembic_version))
        SELECT count(*), count(*) FILTER (WHERE found.line IS NULL), min(line) FILTER (WHERE found.line IS NULL)
        FROM expected LEFT JOIN ({LINES}) found USING (line)
    """


def _quoted(line: str) -> str:
    return "'" + line.replace("'", "''") + "'"


CATALOGUE_CHECKS = (
    Check(
        guarantee=1,
        claim="constraints, indexes, triggers and functions that differ from the migrations",
        sql=_sql(),
    ),
)
