"""Builds and drops indexes of tables that are in use: no request waits meanwhile.

Call it before everything else in `upgrade`: it commits, and a migration that was interrupted is
repeated from its start.
"""

from alembic import op
from sqlalchemy import text

_INVALID = text("SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")


def replace(
    *, create: tuple[str, ...], unique: tuple[str, ...] = (), drop: tuple[str, ...] = ()
) -> None:
    """Create indexes, each given as `name ON table (columns)`, then drop those with these names.

    What is there already stays. An index whose building was interrupted is invalid: it is built
    again.
    """
    context = op.get_context()
    with context.autocommit_block():
        # a long transaction is waited for, and nobody waits behind
        op.execute("SET lock_timeout = 0")
        for kind, definitions in (("INDEX", create), ("UNIQUE INDEX", unique)):
            for definition in definitions:
                name = definition.partition(" ")[0]
                if not context.as_sql and _is_invalid(name):
                    op.execute(f"DROP INDEX CONCURRENTLY {name}")
                op.execute(f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {definition}")
        for name in drop:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute("RESET lock_timeout")


def _is_invalid(name: str) -> bool:
    return op.get_bind().execute(_INVALID, {"name": name}).first() is not None
