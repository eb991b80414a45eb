"""A status callback that cannot be taken is repeated by Twilio until it can, within fifteen
seconds.
"""

import pytest

from api.campaigns import callbacks
from devservers.postgres import Postgres
from tests.integration.campaigns.test_messages import behave, quiet, sent, status
from tests.integration.conftest import Tollgate, database_away
from tests.world import until

HELD = 1.0
"""Seconds: long enough that the database is back before the last repetition."""


async def report_delivered(tollgate: Tollgate, sid: object) -> None:
    await tollgate.http.post(
        f"{tollgate.twilio.url}/_sim/messages/{sid}/callback", json={"status": "delivered"}
    )


async def test_no_callback_is_lost_while_the_database_is_away_for_some_seconds(
    tollgate: Tollgate, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "HELD", HELD)
    await tollgate.onboard()
    await quiet(tollgate)
    await behave(tollgate, repeated_after=0)
    messages = [await sent(tollgate, f"m{number}") for number in range(3)]
    twilios = tollgate.twilio.callbacks

    async with database_away(tollgate, postgres):
        for message in messages:
            await report_delivered(tollgate, message["provider_sid"])
        await until(lambda: _reached(twilios.tries >= 4 * len(messages)), "every fourth try")
    await until(lambda: _reached(twilios.pending == 0), "the last try")

    assert tollgate.twilio.state.callback_counts == {"ok": len(messages)}
    for message in messages:
        assert await status(tollgate, message) == ("accepted", "delivered")


async def test_a_callback_that_cannot_be_taken_is_answered_after_a_while(
    tollgate: Tollgate, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "HELD", 0.3)
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)

    async with database_away(tollgate, postgres):
        await report_delivered(tollgate, message["provider_sid"])
        await until(lambda: _reached(tollgate.twilio.callbacks.pending == 0), "the last try")
    [record] = tollgate.twilio.state.callbacks

    assert (record.status_code, record.tries) == (503, 6)
    assert record.seconds >= 0.3


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are held as a process holds."""
    monkeypatch.setattr(callbacks, "HELD", 3600.0)
    monkeypatch.setattr("api.context.HELD_CALLBACKS", 0)


async def test_beyond_that_a_process_answers_at_once(
    no_room: None, tollgate: Tollgate, postgres: Postgres
) -> None:
    """Held ones occupy connections, which others need."""
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)

    async with database_away(tollgate, postgres):
        await report_delivered(tollgate, message["provider_sid"])
        await until(lambda: _reached(tollgate.twilio.callbacks.pending == 0), "the last try")

    assert tollgate.twilio.state.callback_counts == {"failed": 1}


async def _reached(condition: bool) -> bool:
    return condition
