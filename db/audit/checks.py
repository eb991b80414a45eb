"""The parts of `db/audit/certify`: a check is a claim with a query that counts its violations."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`sql` returns one row: how many rows were examined, how many violate the claim and,
    optionally, the first of them.
    """

    guarantee: int
    claim: str
    sql: str
