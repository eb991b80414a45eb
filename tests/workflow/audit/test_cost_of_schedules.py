"""The schedules cost as many actions of Temporal as the documentation says."""

import asyncio
import re
import uuid
from pathlib import Path

from bench.actions import MONTH, actions
from runtime.schedules import PLAN
from tests.world import LIMIT, World

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "outages.md"
OF_A_SCHEDULE = 2
"""A schedule's run costs these beside its workflow's."""


async def test_a_month_of_short_passes_costs_what_the_documentation_says(
    idle_world: World,
) -> None:
    world, client = idle_world, idle_world.services.client
    world.start_worker()
    organization_id, _ = await world.organization()
    await world.applied(organization_id, "active")
    [stated] = re.findall(r"are ([0-9.]+) million actions a month", PAGE.read_text("utf-8"))

    in_a_month = 0.0
    async with asyncio.timeout(LIMIT):
        for planned in PLAN:
            handle = await client.start_workflow(
                planned.workflow,
                planned.argument,
                id=f"{planned.id}-{uuid.uuid4().hex}",
                task_queue=world.services.settings.lifecycle_task_queue,
            )
            await handle.result()
            once = actions((await handle.fetch_history()).events) + OF_A_SCHEDULE
            in_a_month += once * (MONTH / planned.every)

    assert round(in_a_month / 1_000_000, 2) == float(stated), in_a_month
