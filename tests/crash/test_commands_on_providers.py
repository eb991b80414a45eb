"""The commands that call providers, as an operator types them, against a complete Tollgate."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from domain.switching.switch import SwitchStatus
from tests.crash.processes import environment
from tests.workflow.switching import customers
from tests.world import World

PAGES = ("--return-url", "https://host.test/moved", "--cancel-url", "https://host.test/not")


async def tollgate(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment(world)},
    )


async def test_a_cohort_is_started_shown_and_goes_to_its_end(world: World) -> None:
    world.start_worker()
    customer, other = await customers.customer(world), await customers.customer(world)
    command = (
        "switch-customers",
        "--to",
        "stripe",
        "--cohort",
        "100%",
        "--plan",
        "price_standard",
        *PAGES,
    )

    started = await tollgate(world, *command, "--per-minute", "6000")
    for each in (customer, other):
        await customers.reached(world, each, SwitchStatus.OFFERED)
    again = await tollgate(world, *command)
    await customers.consent(world, customer)
    await customers.reached(world, customer, SwitchStatus.COMPLETED)
    shown = await tollgate(world, "switch-customers", "--to", "stripe", "--status")

    assert started.returncode == again.returncode == shown.returncode == 0, started.stderr
    assert f"started {customer.organization_id}" in started.stdout
    assert "started org" not in again.stdout
    figures = [line.split()[:2] for line in shown.stdout.splitlines()]
    assert [figure for figure in figures if figure[:1] in (["offered"], ["completed"])] == [
        ["offered", "1"],
        ["completed", "1"],
    ]


async def test_reconcile_prints_what_was_missed_and_takes_it_in(world: World) -> None:
    world.start_worker()
    customer = await customers.customer(world)
    await world.act(f"subscriptions/{customer.subscription_id}/suspend")

    done = await tollgate(world, "reconcile", "--settle", "0")
    await world.applied(customer.organization_id, "suspended")

    assert done.returncode == 0, done.stderr
    [paypal] = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["paypal"]]
    assert int(paypal[-3]) >= 1

    world.paypal.faults.add("503", path="/v1/notifications")
    broken = await tollgate(world, "reconcile")
    assert broken.returncode == 1
    assert "paypal could not be queried" in broken.stderr


async def test_recover_stops_everything_until_an_operator_opens_it_with_a_reason(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S")

    neither = await tollgate(world, "recover")
    recovered = await tollgate(world, "recover", "--since", long_ago, "--yes")
    refused = await world.debit(organization_id)
    without_reason = await tollgate(world, "recover", "--open")
    opened = await tollgate(world, "recover", "--open", "--reason", "a drill", "--by", "ops")
    again = await tollgate(world, "recover", "--open", "--reason", "a drill")

    assert (neither.returncode, without_reason.returncode) == (2, 2)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    steps = [line.partition(":")[0] for line in recovered.stdout.splitlines() if ": " in line]
    assert steps[:3] == ["fence", "campaigns", "messages"]
    assert refused.status_code == 423
    assert (opened.returncode, again.returncode) == (0, 1), opened.stderr
    assert "the fence is not shut" in again.stderr
    assert (await world.debit(organization_id)).status_code == 201
    query = text("SELECT opened_by, opened_because FROM fences")
    [fence] = await world.read(lambda conn: conn.execute(query))
    assert tuple(fence) == ("ops", "a drill")
