"""What `db/audit/certify` proves is made of checks: a claim, and the query that counts what breaks
it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`sql` returns one row: how many were examined, how many of them break the claim and, maybe,
    the first of them.
    """

    guarantee: int
    claim: str
    sql: str
