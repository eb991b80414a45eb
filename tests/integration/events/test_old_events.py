"""Events are kept for ninety days, and longer while somebody is still to hear of them."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db.outbound import old_events
from domain.wallet.entries import credit
from tests.builders import broken_claims, number, onboard, post, rows, run, usd
from tests.integration.events.test_messages import ask_for


async def test_old_events_are_deleted_and_the_log_begins_later(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await post(engine, *(credit(f"c-{n}", usd("1")) for n in range(4)))
    await ask_for(engine, "wallet.credited")
    await run(engine, "UPDATE events SET occurred_at = occurred_at - interval '91 days'")
    ids = [row.id for row in await rows(engine, "SELECT id FROM events ORDER BY sequence")]
    await run(engine, "UPDATE events SET fanned_out = true WHERE id <> :id", id=ids[0])
    await run(
        engine,
        "INSERT INTO webhook_deliveries (endpoint_id, organization_id, event_id, status, settled_at)"
        " VALUES ('we_1', 'acme', :pending, 'pending', NULL), ('we_1', 'acme', :settled, 'delivered', now())",
        pending=ids[1],
        settled=ids[2],
    )
    [row] = await rows(engine, "SELECT now() AS now")
    for _ in range(2):
        async with engine.begin() as conn:
            await old_events.delete(conn, now=row.now)

    left = [event.id for event in await rows(engine, "SELECT id FROM events ORDER BY sequence")]
    assert left == ids[:2]
    assert await number(
        engine,
        "SELECT count(*) FROM event_log_start WHERE at = :at",
        at=row.now - timedelta(days=90),
    )


async def test_certify_asks_for_no_event_of_what_happened_before_the_log_begins(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await run(engine, "DELETE FROM events")
    missing = await broken_claims(engine)
    await run(engine, "UPDATE event_log_start SET at = clock_timestamp()")

    assert len(missing) == 1
    assert await broken_claims(engine) == set()


async def test_nothing_moves_while_nothing_is_old(engine: AsyncEngine) -> None:
    await onboard(engine)
    [row] = await rows(engine, "SELECT now() AS now")
    async with engine.begin() as conn:
        await old_events.delete(conn, now=row.now)

    assert await number(engine, "SELECT count(*) FROM event_log_start WHERE at = 'epoch'") == 1
    assert await number(engine, "SELECT count(*) FROM events") == 1
