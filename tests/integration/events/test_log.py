"""Every fact has its event, written in its transaction, once."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events.catalogue import shown
from tests.builders import ORGANIZATION, block, onboard, rows, standing, take_steps, unblock


async def written(engine: AsyncEngine, *types: str) -> list[tuple[str, dict[str, Any]]]:
    """The events of the organization, with their data as it is shown; only of these types if
    given.
    """
    found = await rows(
        engine,
        "SELECT type, data FROM events WHERE organization_id = :of ORDER BY sequence",
        of=ORGANIZATION,
    )
    return [
        (row.type, shown(row.type, row.data)) for row in found if row.type in types or not types
    ]


async def test_a_suspension_is_told_when_the_gate_is_shut_and_applied_when_its_steps_are_done(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    at_once = await written(engine, "organization.suspended", "standing.applied")
    await take_steps(engine)

    [applied] = await written(engine, "standing.applied")
    assert at_once == [("organization.suspended", {"epoch": 1, "blocks": ["admin"]})]
    assert applied[1] == {
        "epoch": 1,
        "status": "suspended",
        "decided_at": "2026-03-02T12:00:00Z",
        "finished_at": "2026-03-02T12:00:00Z",
        "leaked_debits": 0,
        "leaked_messages": 0,
    }


async def test_a_reactivation_is_told_when_its_steps_are_done(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await take_steps(engine)
    await unblock(engine)
    decided = await written(engine, "organization.reactivated")
    await take_steps(engine)

    assert decided == []
    assert await written(engine, "organization.reactivated") == [
        ("organization.reactivated", {"epoch": 2})
    ]


async def test_repeated_steps_tell_nothing_again(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await block(engine)
    await take_steps(engine)
    await take_steps(engine)

    assert (await standing(engine)).epoch == 1
    assert [type_ for type_, _ in await written(engine, "organization.suspended")] == [
        "organization.suspended"
    ]
    assert len(await written(engine, "standing.applied")) == 1
