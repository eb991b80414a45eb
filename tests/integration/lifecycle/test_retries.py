"""A refused step, tried again by an operator."""

from db.lifecycle import standings
from tests.builders import rows
from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
REASON = {"reason": "the parent's token was replaced"}


async def test_a_refused_step_is_due_at_once_and_who_asked_is_recorded(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    await tollgate.post(f"{ACME}/suspend", {"reason": "abuse"})
    async with tollgate.services.engine.begin() as conn:
        await standings.mark_stuck(conn, "acme", 1, "suspend_twilio_subaccount", "HTTP 401")

    answer = await tollgate.post(f"{ACME}/retry", REASON, key="k")
    repeated = await tollgate.post(f"{ACME}/retry", REASON, key="k")

    assert (answer.status_code, repeated.status_code) == (200, 200), answer.text
    assert repeated.headers["Idempotent-Replayed"] == "true"
    [act] = (await tollgate.get("/v1/operator-acts?organization_id=acme")).json()["data"]
    assert (act["act"], act["subject"], act["reason"]) == (
        "step_retried",
        "suspend_twilio_subaccount",
        REASON["reason"],
    )
    [row] = await rows(
        tollgate.services.engine, "SELECT rung_at < now() - interval '1 year' AS due FROM standings"
    )
    assert row.due in (True, None), "null: the notification failed, and the relay rings at once"


async def test_nothing_is_retried_where_every_step_is_done(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)

    done = await tollgate.post(f"{ACME}/retry", REASON)
    unknown = await tollgate.post("/v1/organizations/nobody/retry", REASON)

    assert (done.status_code, done.json()["code"]) == (409, "nothing_stuck")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "organization_not_found")
    assert (await tollgate.get("/v1/operator-acts")).json()["data"] == []
