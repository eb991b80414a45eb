"""Each response of the API shows one moment, however many statements read it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import Connection, event

from db.api_keys import Scope
from db.billing import blocks
from db.lifecycle.standings import HeldBlock
from domain.lifecycle.standing import Block
from runtime.database import create_engine
from tests.integration.billing.test_topups import topup_body
from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
OF_NOTHING = {
    "delivery_id": "1",
    "alert_id": f"alt_{UUID(int=1).hex}",
    "route_id": f"ntr_{UUID(int=1).hex}",
    "event_id": f"evt_{UUID(int=1).hex}",
    "endpoint_id": f"we_{UUID(int=1).hex[:24]}",
    "bulk_act_id": str(UUID(int=1)),
}
"""Ids of what does not exist: its absence is of one moment, too."""


@contextmanager
def behind_each_statement(
    tollgate: Tollgate, then: Callable[[Connection, str], None]
) -> Iterator[None]:
    """Call `then` after each statement of a request, except the one that finds its key."""

    def executed(conn: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "FROM api_keys" not in statement:
            then(conn, statement)

    engine = tollgate.services.engine.sync_engine
    event.listen(engine, "after_cursor_execute", executed)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", executed)


def suspend(database_url: str) -> None:
    """Suspend it and commit, in a separate thread, while the request's event loop is blocked."""

    async def suspended() -> None:
        engine = create_engine(database_url, pool_size=1)
        block = HeldBlock(kind=Block.ADMIN, reference="", reason="x", placed_by="a test")
        async with engine.begin() as conn:
            await blocks.block(conn, "acme", block, now=datetime.now(UTC))
        await engine.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(suspended()))
    thread.start()
    thread.join()


@pytest.mark.parametrize("path", ["can-send", "explain"])
@pytest.mark.parametrize("after", ["FROM organizations", "FROM standings"])
async def test_a_suspension_between_two_reads_is_shown_whole_or_not_at_all(
    tollgate: Tollgate, database_url: str, path: str, after: str
) -> None:
    await tollgate.onboard()
    seen: list[str] = []

    def once(_conn: Connection, statement: str) -> None:
        if after in statement and not seen:
            seen.append(statement)
            suspend(database_url)

    with behind_each_statement(tollgate, once):
        before = (await tollgate.get(f"{ACME}/{path}")).json()
    then = (await tollgate.get(f"{ACME}/{path}")).json()

    assert seen
    assert (before["can_send"], before["reasons"]) == (True, [])
    assert [reason["code"] for reason in then["reasons"]] == ["admin"]


async def test_everything_that_a_get_reads_is_of_one_moment(tollgate: Tollgate) -> None:
    ids = await _create_each(tollgate)
    schema = (await tollgate.get("/openapi.json", scope=None)).json()
    paths = [
        path
        for path, at in schema["paths"].items()
        if "get" in at
        and path.startswith(("/v1", "/metrics"))
        and not path.startswith("/v1/api-keys")  # one statement, as the one that is left out
    ]

    for path in paths:
        statements: list[tuple[str, object, object]] = []

        def note(
            conn: Connection,
            _statement: str,
            statements: list[tuple[str, object, object]] = statements,
        ) -> None:
            request_id = structlog.contextvars.get_contextvars().get("request_id", "")
            statements.append(
                (
                    request_id,
                    conn.get_transaction(),
                    conn.get_execution_options().get("isolation_level"),
                )
            )

        parameters = {"currency": "USD"} if path.startswith("/v1/rates/") else {}
        if path == "/v1/messages":
            parameters = {"to": "+14155550100"}
        absent = path.endswith("/switch") or any(f"{{{name}}}" in path for name in OF_NOTHING)
        with behind_each_statement(tollgate, note):
            url = path.format(**ids, **OF_NOTHING)
            answer = await tollgate.get(url, params=parameters, scope=Scope.OPERATOR)
        assert answer.status_code == (404 if absent else 200), (path, answer.text)
        # background work of an earlier request runs concurrently
        own = answer.headers["x-request-id"]
        own_statements = [
            (transaction, isolation)
            for request_id, transaction, isolation in statements
            if request_id == own
        ]
        assert len(set(own_statements)) == 1, path
        assert len(own_statements) == 1 or own_statements[0][1] == "REPEATABLE READ", path
    assert len(paths) > 15


async def _create_each(tollgate: Tollgate) -> dict[str, Any]:
    await tollgate.onboard()
    await tollgate.subscribe()
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    money = {"amount": "1.00", "currency": "USD"}
    hold = await tollgate.post(
        f"{ACME}/wallet/holds", {"reference_id": "h1", "expires_at": tomorrow, **money}
    )
    assert hold.status_code == 201, hold.text
    body = {"name": "x", "body": "x", "recipients": ["+14155550100"]}
    campaign = await tollgate.post(f"{ACME}/campaigns", body, key="c1")
    message = await tollgate.post(f"{ACME}/messages", {"to": "+14155550100", "body": "x"}, key="m1")
    for path in ("/v1/rates/US?currency=USD", f"{ACME}/rates/US"):
        price = {"price_per_segment": "0.01"} | ({"currency": "USD"} if "?" in path else {})
        put = await tollgate.ask("PUT", path.partition("?")[0], price)
        assert put.status_code in (200, 201), put.text
    topup = await tollgate.post(f"{ACME}/wallet/topups", topup_body(), key="t1")
    for reference in ("", "D-1"):
        block = HeldBlock(
            kind=Block.DISPUTE, reference=reference, reason="a dispute", placed_by="paypal"
        )
        async with tollgate.services.engine.begin() as conn:
            await blocks.block(conn, "acme", block, now=datetime.now(UTC))
    return {
        "organization_id": "acme",
        "campaign_id": campaign.json()["id"],
        "message_id": message.json()["id"],
        "reference_id": "h1",
        "checkout_id": topup.json()["checkout_id"],
        "kind": "dispute",
        "reference": "D-1",
        "country": "US",
    }


async def test_an_operators_note_is_shown_to_operators_alone(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    note = "bounced cheque"
    await tollgate.post(f"{ACME}/wallet/freeze", {"reason": note})
    debited = await tollgate.debit("1.00", "d1")
    await tollgate.post(f"{ACME}/suspend", {"reason": note})
    sent = await tollgate.post(f"{ACME}/messages", {"to": "+14155550100", "body": "x"}, key="m1")
    listed = await tollgate.post(
        f"{ACME}/wallet/debits", [{"reference_id": "r", "amount": "1.00", "currency": "USD"}]
    )

    for refused in (debited, sent, listed, await tollgate.get(f"{ACME}/can-send")):
        assert note not in refused.text
    assert (debited.status_code, debited.json()["reasons"]) == (
        423,
        [{"code": "frozen", "message": "an operator froze the wallet"}],
    )
    for path in ("wallet", "blocks", "receipts", "explain"):
        assert note in (await tollgate.get(f"{ACME}/{path}", scope=Scope.OPERATOR)).text, path
        for scope in (Scope.READ, Scope.WRITE):
            text = (await tollgate.get(f"{ACME}/{path}", scope=scope)).text
            assert note not in text, path
            assert "operator (key_" not in text, path
