"""PostgreSQL's messages of a temporary refusal cause a wait; all others are configuration errors."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime import database, servers
from runtime.server_wait import ServerAway
from runtime.settings import BadSettings

URL = "postgresql+psycopg://app@127.0.0.1:1/x"
FOR_A_MOMENT = (
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "terminating connection due to administrator command",
    "sorry, too many clients already",
)


async def looked_at(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_engine: AsyncEngine) -> None:
        problem = psycopg.OperationalError(
            f'connection to server at "127.0.0.1", port 1 failed: FATAL:  {reason}'
        )
        raise OperationalError("", None, problem)

    monkeypatch.setattr(AsyncEngine, "connect", refuse)
    await servers.await_database(URL, patience=timedelta(0), say=print)


@pytest.mark.parametrize("problem", FOR_A_MOMENT)
async def test_a_server_that_takes_no_connection_for_a_moment_is_away(
    problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ServerAway, match=f"PostgreSQL at 127.0.0.1:1 does not answer: FATAL:  {problem}"
    ):
        await looked_at(problem, monkeypatch)


async def test_a_server_that_refuses_our_login_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(
        BadSettings, match=r'^TOLLGATE_DATABASE_URL: password authentication failed for user "app"$'
    ):
        await looked_at('password authentication failed for user "app"', monkeypatch)


def test_the_url_overrides_the_limits_of_the_network() -> None:
    limits = database.network_limits(make_url(f"{URL}?tcp_user_timeout=3000&keepalives=0"))

    assert limits.keys() == database.NETWORK_LIMITS.keys() - {"tcp_user_timeout", "keepalives"}
