"""The age of the last complete pass over each subject, and the alert when it is too old."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.audit import figures, reconciliations
from domain.alerts import AlertKind
from domain.audit.reconciliation import RHYTHMS, Subject
from tests.builders import run

NOW = datetime.now(UTC)


async def complete(engine: AsyncEngine, subject: Subject, *, ago: timedelta) -> None:
    async with engine.begin() as conn:
        await reconciliations.complete(conn, subject, began_at=NOW - ago, compared=3, differing=1)


async def late(engine: AsyncEngine, *, after: timedelta = timedelta(0)) -> str | None:
    """The alert's detail, so long after now."""
    async with engine.begin() as conn:
        await reconciliations.watch(conn, now=NOW + after)
    async with engine.connect() as conn:
        standing = await alerts.standing(conn, alerts.INSTALLATION)
    [*details] = [
        alert.detail for alert in standing if alert.kind == AlertKind.RECONCILIATION_LATE.value
    ]
    return details[0] if details else None


async def test_a_pass_that_is_too_long_ago_is_named_until_another_is_complete(
    engine: AsyncEngine,
) -> None:
    for subject in Subject:
        await complete(engine, subject, ago=timedelta(0))
    in_time = await late(engine, after=timedelta(minutes=59))
    too_late = await late(engine, after=timedelta(minutes=61))
    for subject in (
        Subject.BALANCE, Subject.MESSAGES, Subject.WAITING, Subject.TWILIO, Subject.STRIPE
    ):  # fmt: skip
        await complete(engine, subject, ago=timedelta(hours=-1))

    assert in_time is None
    assert too_late == "no complete pass for too long: balance, messages, stripe, twilio, waiting"
    assert await late(engine, after=timedelta(minutes=61)) is None


async def test_a_pass_that_never_was_complete_is_late_as_well(engine: AsyncEngine) -> None:
    assert await late(engine) is None  # expected from now on
    assert await late(engine, after=timedelta(days=8)) == (
        f"no complete pass for too long: {', '.join(sorted(Subject))}"
    )


async def test_an_alert_that_says_the_same_is_not_raised_again(engine: AsyncEngine) -> None:
    for days in (0, 2, 3):
        await late(engine, after=timedelta(days=days))

    async with engine.connect() as conn:
        [alert] = await alerts.standing(conn, alerts.INSTALLATION)
    assert alert.times == 1


async def test_a_pass_that_began_earlier_and_ends_later_changes_nothing(
    engine: AsyncEngine,
) -> None:
    await complete(engine, Subject.PAYPAL, ago=timedelta(hours=1))
    await complete(engine, Subject.PAYPAL, ago=timedelta(hours=5))

    async with engine.connect() as conn:
        reading = await figures.read(conn, now=NOW)
    assert reading.reconciled == {Subject.PAYPAL: timedelta(hours=1)}


async def test_a_subject_that_this_build_does_not_know_is_left_alone(engine: AsyncEngine) -> None:
    await run(engine, "INSERT INTO reconciliations (subject) VALUES ('carrier')")

    async with engine.connect() as conn:
        assert await reconciliations.ages(conn, now=NOW) == {}
    assert await late(engine, after=timedelta(minutes=1)) is None
    assert set(RHYTHMS) == set(Subject)
