"""A callback of an attempt that the database does not know is a sign that it was restored."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.campaigns import unmatched_messages
from db.campaigns.unmatched_messages import Unmatched
from domain.alerts import AlertKind
from domain.campaigns.telephony import DeliveryStatus
from tests.builders import ORGANIZATION, apply, callback, onboard, send_one


async def unmatched(engine: AsyncEngine) -> list[Unmatched]:
    async with engine.connect() as conn:
        return await unmatched_messages.open_ones(conn, ORGANIZATION)


async def alert(engine: AsyncEngine) -> tuple[str, int] | None:
    async with engine.connect() as conn:
        found = await alerts.standing(conn, ORGANIZATION)
    kind = AlertKind.MESSAGE_UNMATCHED
    return next(((each.detail, each.times) for each in found if each.kind == kind), None)


@pytest.mark.parametrize(
    "attempt_id", ["5b0d2f0c-6d1e-4c1d-9d44-5a2b0c3f1e77.1", "the message's own, later"]
)
async def test_a_callback_of_an_unknown_attempt_raises_an_alert_at_once_and_once(
    engine: AsyncEngine, attempt_id: str
) -> None:
    await onboard(engine)
    message = await send_one(engine)
    if attempt_id == "the message's own, later":
        attempt_id = f"{message.id}.{message.attempt + 1}"
    reported = callback(message, DeliveryStatus.SENT)
    unknown = replace(reported, attempt_id=attempt_id, message_sid="SM" + "7" * 32)

    await apply(engine, unknown)
    await apply(engine, unknown)

    [found] = await unmatched(engine)
    raised = await alert(engine)
    assert (found.message_sid, found.listed) == ("SM" + "7" * 32, False)
    assert attempt_id in found.problem
    assert raised is not None
    assert raised[1] == 1
    assert found.message_sid in raised[0]


async def test_a_callback_of_a_known_attempt_or_without_one_raises_none(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    message = await send_one(engine)
    known = callback(message, DeliveryStatus.SENT)

    await apply(engine, known)
    await apply(engine, replace(known, attempt_id=None))

    assert await unmatched(engine) == []
    assert await alert(engine) is None


async def test_its_alert_is_cleared_when_the_last_one_is_closed(engine: AsyncEngine) -> None:
    await onboard(engine)
    sids = ["SM1", "SM2"]
    async with engine.begin() as conn:
        await unmatched_messages.note(
            conn,
            [
                Unmatched(organization_id=ORGANIZATION, message_sid=sid, problem="?", listed=True)
                for sid in sids
            ],
        )

    async def close(sid: str) -> bool:
        async with engine.begin() as conn:
            return await unmatched_messages.close(
                conn, ORGANIZATION, sid, by="ops", because="debited by hand"
            )

    assert await close("SM1")
    assert await alert(engine) is not None
    assert await close("SM2")
    assert await alert(engine) is None
    assert not await close("SM2")
