"""The parts of `db/audit/certify`: a check is a claim with a query that counts its violations."""

from dataclasses import dataclass

EXAMINED = "examined."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`sql` returns one row: how many rows were examined, how many violate the claim and,
    optionally, the first of them.

    It names a table `examined.x` where of all rows only the new ones have to be read; every other
    table is looked up whole, by an index or because it has few rows. `new` is the query on new rows
    where the same text cannot serve.
    """

    guarantee: int
    claim: str
    sql: str
    new: str | None = None

    @property
    def on_everything(self) -> str:
        return self.sql.replace(EXAMINED, "")

    @property
    def on_new_rows(self) -> str:
        """Reads the tables of `db/audit/new_rows`."""
        return (self.new or self.sql).replace(EXAMINED, "new_")
