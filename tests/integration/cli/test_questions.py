"""What an operator asks in a shell, about all organizations."""

import json

from sqlalchemy.ext.asyncio import AsyncEngine

from tests import builders
from tests.integration.cli.test_commands import tollgate


async def test_organizations_are_listed_as_the_api_lists_them(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine, "acme")
    await builders.onboard(engine, "bolt")
    await builders.block(engine, "bolt")
    suspended = ("organizations", "list", "--status", "suspended", "--sort", "since")

    shown = tollgate(*suspended, database_url=database_url, environment={"COLUMNS": "200"})
    listed = tollgate(*suspended, "--json", database_url=database_url)
    wrong = tollgate("organizations", "list", "--q", "--", database_url=database_url)

    assert (shown.returncode, listed.returncode) == (0, 0), shown.stderr + listed.stderr
    assert "bolt" in shown.stdout
    assert "acme" not in shown.stdout
    [organization] = json.loads(listed.stdout)["data"]
    assert (organization["id"], organization["figures"]["parked_campaigns"]) == ("bolt", 0)
    assert wrong.returncode == 2
