"""Alerts are told when they are raised and when they end, each once."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from domain.alerts import AlertKind
from tests.builders import ORGANIZATION, onboard, rows
from tests.integration.events.telling import data_of, events_told


async def test_an_alert_is_told_when_it_is_raised_and_when_it_clears(engine: AsyncEngine) -> None:
    await onboard(engine)
    for _ in range(2):
        async with engine.begin() as conn:
            await alerts.raise_(conn, ORGANIZATION, AlertKind.STUCK, "freeze_wallet: refused")
    for _ in range(2):
        async with engine.begin() as conn:
            await alerts.clear(conn, ORGANIZATION, AlertKind.STUCK)
    async with engine.begin() as conn:
        await alerts.raise_(conn, ORGANIZATION, AlertKind.STUCK, "freeze_wallet: refused")

    found = await events_told(engine, "alert.raised", "alert.cleared")
    ids = [data["alert_id"] for _, data in found]
    assert [type_ for type_, _ in found] == ["alert.raised", "alert.cleared", "alert.raised"]
    assert ids[0] == ids[1] != ids[2]
    assert found[0][1]["severity"] == "page"
    assert found[1][1]["by"] is None


async def test_a_broken_guarantee_of_the_installation_has_an_event_of_its_own(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as conn:
        await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.GUARANTEE_4, "1 of 2")

    found = await rows(engine, "SELECT type, organization_id, data FROM events ORDER BY sequence")
    assert [(row.type, row.organization_id) for row in found] == [
        ("alert.raised", None),
        ("guarantee.broken", None),
    ]
    assert found[1].data["guarantee"] == 4
    assert await data_of(engine, "guarantee.broken") == []
