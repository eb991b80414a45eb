"""An alert has an id and a history from when it is raised until it ends."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.alerts import Alert
from db.audit import alert_records
from db.audit.alert_records import Entry, Filter, status_of
from domain.alerts import AlertKind, AlertStatus
from tests import builders
from tests.builders import ORGANIZATION

ENDED = Filter(status=AlertStatus.CLEARED)


async def raised(engine: AsyncEngine, kind: AlertKind, detail: str = "why") -> Alert:
    async with engine.begin() as conn:
        await alerts.raise_(conn, ORGANIZATION, kind, detail)
        found = await alerts.standing(conn, ORGANIZATION)
    return next(alert for alert in found if alert.kind == kind)


async def history(engine: AsyncEngine, alert_id: str) -> list[Entry]:
    async with engine.connect() as conn:
        return await alert_records.history(conn, alert_id)


async def test_each_occurrence_has_an_id_of_its_own_and_is_kept(engine: AsyncEngine) -> None:
    first = await raised(engine, AlertKind.STUCK, "first")
    async with engine.begin() as conn:
        await alerts.clear(conn, ORGANIZATION, AlertKind.STUCK)
    second = await raised(engine, AlertKind.STUCK, "second")

    async with engine.connect() as conn:
        [past] = await alert_records.page(conn, ENDED, limit=10)
        [standing] = await alert_records.page(conn, Filter(), limit=10)
        by_id = await alert_records.get(conn, first.id)
    assert first.id != second.id == standing.id
    assert by_id == past
    assert (past.id, past.detail, past.closed_by) == (first.id, "first", None)
    assert past.cleared_at is not None
    assert past.cleared_at >= past.raised_at
    assert [entry.change for entry in await history(engine, first.id)] == ["raised", "cleared"]
    assert [entry.change for entry in await history(engine, second.id)] == ["raised"]


async def test_repetitions_of_a_condition_are_counted_and_each_new_fact_is_in_the_history(
    engine: AsyncEngine,
) -> None:
    await raised(engine, AlertKind.STUCK, "13 times in a row")
    condition = await raised(engine, AlertKind.STUCK, "14 times in a row")
    for detail in ("refund R-1", "refund R-2"):
        await raised(engine, AlertKind.REFUND, detail)
    fact = await raised(engine, AlertKind.REFUND, "refund R-1")

    assert (condition.times, fact.times) == (2, 3)
    assert [entry.note for entry in await history(engine, condition.id)] == ["13 times in a row"]
    assert [entry.note for entry in await history(engine, fact.id)] == ["refund R-1", "refund R-2"]


async def test_an_acknowledged_alert_is_open_again_only_for_a_new_fact(engine: AsyncEngine) -> None:
    alert = await raised(engine, AlertKind.REFUND, "refund R-1")
    async with engine.begin() as conn:
        taken = await alert_records.acknowledge(conn, alert, owner="jo", by="al", remark="mine")

    repeated = await raised(engine, AlertKind.REFUND, "refund R-1")
    new = await raised(engine, AlertKind.REFUND, "refund R-2")

    assert taken
    assert (repeated.owner, status_of(repeated)) == ("jo", AlertStatus.ACKNOWLEDGED)
    assert (new.owner, status_of(new)) == (None, AlertStatus.OPEN)
    [_, entry, _] = await history(engine, alert.id)
    assert (entry.change, entry.by, entry.note) == ("acknowledged", "al", "jo: mine")


async def test_who_closed_an_alert_and_why_is_kept(engine: AsyncEngine) -> None:
    alert = await raised(engine, AlertKind.REFUND)
    async with engine.begin() as conn:
        closed = [
            await alert_records.close(conn, alert.id, by="jo", reason="sent by bank transfer")
            for _ in range(2)
        ]
        past = await alert_records.get(conn, alert.id)

    assert closed == [True, False]
    assert past is not None
    assert past.closed_by == "jo"
    assert (await history(engine, alert.id))[-1].note == "sent by bank transfer"


async def test_what_an_older_build_raises_and_clears_has_an_id_and_a_history_soon(
    engine: AsyncEngine,
) -> None:
    """It clears a row where it is, and opens it again."""
    older = "INSERT INTO alerts (organization_id, kind, detail) VALUES ('acme', :kind, 'older')"
    for kind in ("stuck", "differs", "refund"):
        await builders.run(engine, older, kind=kind)
    cleared = "UPDATE alerts SET cleared_at = clock_timestamp(), times = 7 WHERE kind = :kind"
    await builders.run(engine, cleared, kind="stuck")
    await builders.run(engine, cleared, kind="differs")

    again = await raised(engine, AlertKind.STUCK)
    async with engine.begin() as conn:
        await alert_records.tidy(conn)
        [past] = await alert_records.page(conn, ENDED, limit=10)
        standing = await alert_records.page(conn, Filter(), limit=10)

    assert (again.times, again.detail) == (1, "why")
    assert (past.kind, past.times) == ("differs", 7)
    assert {alert.kind for alert in standing} == {"stuck", "refund"}
    for alert in standing:
        assert [entry.change for entry in await history(engine, alert.id)] == ["raised"]
