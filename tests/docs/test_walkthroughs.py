"""Runs the commands of README and the tutorial against a complete Tollgate, and compares the
output.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from activities.workflow_contracts import organization_workflow_id
from devservers.postgres import Postgres
from simulators.paypal.certificate import Authority
from tests.conftest import fresh_database
from tests.docs.pages import ROOT, blocks
from tests.docs.shell import Shell, shell
from tests.world import World, world

pytestmark = pytest.mark.skipif(
    not shutil.which("bash") or not shutil.which("curl"), reason="needs bash and curl"
)


@pytest_asyncio.fixture
async def prepared_world(
    database_url: str, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[World]:
    async with world(database_url, temporal_client, tmp_path, Authority()) as built:
        built.start_worker()
        yield built
    # every page calls its organization acme, and Temporal is shared
    with contextlib.suppress(RPCError):
        await temporal_client.get_workflow_handle(organization_workflow_id("acme")).terminate()


@pytest_asyncio.fixture
async def terminal(prepared_world: World, database_url: str) -> AsyncIterator[Shell]:
    """A shell with the variables that `tollgate dev` tells the user to export."""
    api = str(prepared_world.api.base_url).rstrip("/")
    environment = {
        "TOLLGATE": api,
        "API": api,
        "KEY": prepared_world.api.headers["authorization"].removeprefix("Bearer "),
        "PAYPAL": str(prepared_world.paypal_control.base_url).rstrip("/"),
        "TWILIO": str(prepared_world.twilio_control.base_url).rstrip("/"),
        "TOLLGATE_DATABASE_URL": database_url,
        "PYTHONIOENCODING": "utf-8",
    }
    async with shell(environment) as started:
        yield started


async def test_the_tutorial(terminal: Shell) -> None:
    await _walk(terminal, ROOT / "docs" / "tutorial.md")


async def test_the_readme(prepared_world: World, terminal: Shell) -> None:
    await prepared_world.twilio_control.post(
        "/_sim/accounts", json={"sid": "AC0123456789abcdef0123456789abcdef"}
    )
    await prepared_world.act("subscriptions", {"id": "I-BW452GLLEP1G", "custom_id": "acme"})

    await _walk(terminal, ROOT / "README.md")


async def test_the_emergency_of_the_runbook(prepared_world: World, terminal: Shell) -> None:
    opened = (await prepared_world.twilio_control.post("/_sim/accounts", json={})).json()[
        "accounts"
    ][0]
    about = {
        "id": "acme",
        "name": "Acme Ltd",
        "currency": "USD",
        "sender": "+15550001000",
        "price_per_segment": "0.01",
    }
    await prepared_world.post("/v1/organizations", {**about, "twilio_account_sid": opened["sid"]})

    await _walk(terminal, ROOT / "docs" / "how-to" / "runbook.md")


async def test_certify_on_a_new_database(postgres: Postgres) -> None:
    [shown] = [
        block
        for block in blocks(ROOT / "README.md")
        if "wallets with a negative balance" in block.text
    ][-1:]
    with fresh_database(postgres, f"test_{os.getpid()}_certify_docs") as url:
        async with shell({"TOLLGATE_DATABASE_URL": url, "PYTHONIOENCODING": "utf-8"}) as terminal:
            await terminal.answers(
                next(
                    block
                    for block in blocks(ROOT / "README.md")
                    if block.text == "tollgate certify\n"
                ),
                shown,
            )


async def _walk(terminal: Shell, page: Path) -> None:
    """Run each `sh` block; if a `json` or `text` block follows it, the commands must print that."""
    found = blocks(page)
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block.language != "sh":
            continue
        if after is not None and after.language in ("json", "text"):
            await terminal.answers(block, after)
        else:
            await terminal.run(block.text)
