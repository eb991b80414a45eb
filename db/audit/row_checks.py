"""The checks that no row refers to a missing one, that each organization has its wallet and its
standing, and that those are counted.
"""

from sqlalchemy import ForeignKeyConstraint

from db.audit.checks import Check
from db.tables import metadata

ORPHANS = """
    SELECT '{name}' AS what, count(*) FILTER (WHERE parent.{key} IS NULL) AS orphans
    FROM {child} child LEFT JOIN {table} parent ON {same} WHERE {given}
"""
PAIRS = """
    SELECT 'organizations without {table}' AS what, count(*) FILTER (WHERE t.organization_id IS NULL) AS orphans
    FROM organizations o LEFT JOIN {table} t ON t.organization_id = o.id
"""


def _orphans(constraint: ForeignKeyConstraint) -> str:
    pairs = [(element.parent.name, element.column.name) for element in constraint.elements]
    return ORPHANS.format(
        name=constraint.name,
        child=constraint.table.name,
        table=constraint.referred_table.name,
        key=pairs[0][1],
        same=" AND ".join(f"parent.{column} = child.{name}" for name, column in pairs),
        given=" AND ".join(f"child.{name} IS NOT NULL" for name, _ in pairs),
    )


def _all() -> str:
    constraints = [
        constraint
        for table in metadata.sorted_tables
        for constraint in table.foreign_key_constraints
    ]
    parts = [
        _orphans(constraint) for constraint in sorted(constraints, key=lambda key: str(key.name))
    ]
    return " UNION ALL ".join([*parts, _pairs()])


def _pairs() -> str:
    return " UNION ALL ".join(PAIRS.format(table=table) for table in ("wallets", "standings"))


ROW_CHECKS = (
    Check(
        guarantee=1,
        claim="rows that refer to a missing row",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE orphans > 0), min(what || ', ' || orphans) FILTER (WHERE orphans > 0)
        FROM ({_all()}) counted
        """,
        # constraints refuse all others, and the catalogue is compared
        new=f"""
        SELECT count(*), count(*) FILTER (WHERE orphans > 0), min(what || ', ' || orphans) FILTER (WHERE orphans > 0)
        FROM ({_pairs()}) counted
        """,
    ),
    Check(
        guarantee=3,
        claim="counts of organizations that differ from their standings",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(status) FILTER (WHERE wrong)
        FROM (
            SELECT status, s.number IS DISTINCT FROM nullif(c.number, 0) AS wrong
            FROM (SELECT status, count(*) AS number FROM standings GROUP BY status) s FULL JOIN (
                SELECT status, sum(number) AS number FROM standing_counts GROUP BY status) c USING (status)
        ) counted
        """,
    ),
)
