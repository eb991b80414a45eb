"""Health, and the API's own description."""

from sqlalchemy import text

from tests.integration.conftest import Tollgate
from tests.world import until


async def test_ready_is_degraded_while_temporal_is_away_since_webhooks_must_be_taken(
    tollgate: Tollgate,
) -> None:
    answer = await tollgate.get("/health/ready", scope=None)

    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    assert (body["database"]["ok"], body["migrations"]["ok"], body["temporal"]["ok"]) == (
        True,
        True,
        False,
    )


async def test_ready_is_503_while_the_database_takes_no_writes(tollgate: Tollgate) -> None:
    name = tollgate.services.engine.url.database
    setting = f'ALTER DATABASE "{name}" SET default_transaction_read_only ='
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text(f"{setting} on"))

    answer = await tollgate.get("/health/ready", scope=None)

    assert (answer.status_code, answer.json()["database"]) == (
        503,
        {"ok": False, "detail": "is read-only: a standby, or a server that was demoted"},
    )
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text(f"{setting} off"))

    async def ready_again() -> bool:
        return (await tollgate.get("/health/ready", scope=None)).status_code == 200

    await until(ready_again, "ready again")


async def test_ready_is_503_when_the_schema_is_an_older_one(tollgate: Tollgate) -> None:
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    answer = await tollgate.get("/health/ready", scope=None)

    assert (answer.status_code, answer.json()["migrations"]["ok"]) == (503, False)


async def test_a_running_process_stays_ready_when_the_next_release_migrates(
    tollgate: Tollgate,
) -> None:
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    answer = await tollgate.get("/health/ready", scope=None)

    assert (answer.status_code, answer.json()["migrations"]["ok"]) == (200, True)


async def test_ready_is_503_when_the_schema_no_longer_supports_the_build(
    tollgate: Tollgate,
) -> None:
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await conn.execute(text("UPDATE schema_support SET oldest_build = '9998'"))

    answer = await tollgate.get("/health/ready", scope=None)

    assert (answer.status_code, answer.json()["migrations"]["ok"]) == (503, False)
    assert "supports builds from 9998 on" in answer.json()["migrations"]["detail"]


async def test_ready_shows_what_waits(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    await tollgate.deliver_event(event_id)
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(
            text("UPDATE inbox SET received_at = received_at - interval '5 minutes'")
        )

    relay = (await tollgate.get("/health/ready", scope=None)).json()["relay"]

    assert (relay["ok"], relay["waiting"]) == (False, 1)
    assert relay["oldest_seconds"] >= 300


async def test_every_operation_is_described(tollgate: Tollgate) -> None:
    schema = (await tollgate.get("/openapi.json", scope=None)).json()

    operations = [
        (path, method, operation)
        for path, at in schema["paths"].items()
        for method, operation in at.items()
    ]
    for path, method, operation in operations:
        assert {"summary", "tags"} <= operation.keys(), (method, path)
        assert path.startswith(("/v1/", "/metrics")) == bool(operation["security"]), (method, path)
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and not path.startswith("/health"):
                assert list(answer["content"]) == ["application/problem+json"], (
                    method,
                    path,
                    status,
                )
    assert len(operations) >= 30
    assert "HTTPValidationError" not in schema["components"]["schemas"]
