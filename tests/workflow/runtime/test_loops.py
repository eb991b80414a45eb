"""A worker's relay and upkeep continue after any failure; one organization's failure does not delay
the others.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import event

from db.audit import figures
from runtime.upkeep import Upkeep
from tests.world import World, until

LOOPS = {
    *(
        "relay_failed",
        "finding_failed",
        "expiry_failed",
        "recovery_failed",
        "resume_failed",
        "watch_failed",
    ),
    *("sealing_failed", "checking_failed", "undecided_failed"),
}


async def test_a_worker_s_loops_go_on_after_an_exception_that_nobody_expected(
    idle_world: World,
) -> None:
    engine = idle_world.services.engine
    await idle_world.organization()

    def refuse(*_: Any) -> None:
        """Not before the loops begin: a worker that cannot compare its database does not start."""
        if any(record["event"] == "worker_started" for record in logged):
            raise KeyError("nobody expected this")

    async def all_failed_twice() -> bool:
        return all(sum(record["event"] == loop for record in logged) > 1 for loop in LOOPS)

    async def standing() -> set[str]:
        async with engine.connect() as conn:
            return set((await figures.read(conn, now=datetime.now(UTC))).alerts)

    async def none_stands() -> bool:
        return not LOOPS & await standing()

    async def sealed() -> bool:
        async with engine.connect() as conn:
            return bool(
                (await conn.exec_driver_sql("SELECT count(*) FROM ledger_seals")).scalar_one()
            )

    with structlog.testing.capture_logs() as logged:
        event.listen(engine.sync_engine, "before_cursor_execute", refuse)
        idle_world.start_worker()
        await until(all_failed_twice, "each loop failed twice")
    event.remove(engine.sync_engine, "before_cursor_execute", refuse)

    assert {record["reason"] for record in logged if record["event"] in LOOPS} == {"KeyError"}
    await until(sealed, "the ledger is sealed")
    await until(none_stands, "no loop's alert stands")


async def test_an_organization_that_cannot_be_served_holds_up_no_other_expiry(
    idle_world: World,
) -> None:
    engine = idle_world.services.engine
    poisoned, _ = await idle_world.organization()
    other, _ = await idle_world.organization()
    for each in (poisoned, other):
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        hold = {"reference_id": "ride", "amount": "1.00", "currency": "USD", "expires_at": tomorrow}
        await idle_world.post(f"/v1/organizations/{each}/wallet/holds", hold)

    def refuse(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FOR UPDATE" in statement and poisoned in parameters.values():
            raise KeyError(poisoned)

    event.listen(engine.sync_engine, "before_cursor_execute", refuse)
    with pytest.raises(KeyError, match=poisoned):
        await Upkeep(
            engine, idle_world.services.notifier, idle_world.services.checking
        ).expire_holds(now=datetime.now(UTC) + timedelta(days=2))
    event.remove(engine.sync_engine, "before_cursor_execute", refuse)

    assert (await idle_world.wallet(other)).held_micros == 0
    assert (await idle_world.wallet(poisoned)).held_micros > 0
