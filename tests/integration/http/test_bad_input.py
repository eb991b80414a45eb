"""The response to bad input: a problem document that names the field, never a stack trace."""

import pytest
from sqlalchemy import text

from api.http.key_cache import Keys
from db import api_keys
from db.api_keys import Scope
from devservers.postgres import Postgres
from tests.integration.conftest import Tollgate, database_away, organization

WALLET = "/v1/organizations/acme/wallet"


def posting(**changed: object) -> dict[str, object]:
    return {"reference_id": "r", "amount": "1.00", "currency": "USD"} | changed


WRONG: list[tuple[dict[str, object], str]] = [
    ({"amount": 1.5}, "amount"),
    ({"amount": 1}, "amount"),
    ({"amount": True}, "amount"),
    ({"amount": None}, "amount"),
    ({"amount": "-1.00"}, "amount"),
    ({"amount": "0"}, "amount"),
    ({"amount": "0.000000"}, "amount"),
    ({"amount": "0.0000001"}, "amount"),
    ({"amount": "1e3"}, "amount"),
    ({"amount": "1,50"}, "amount"),
    ({"amount": " 1"}, "amount"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": ""}, "amount"),
    ({"amount": "9" * 30}, "amount"),
    ({"amount": "\u0663"}, "amount"),
    ({"currency": "EUR"}, "currency"),
    ({"currency": "usd"}, "currency"),
    ({"currency": "USD\n"}, "currency"),
    ({"reference_id": ""}, "reference_id"),
    ({"reference_id": "x" * 256}, "reference_id"),
    ({"reference_id": "a\0b"}, "reference_id"),
    ({"reference_id": "a\nb"}, "reference_id"),
    ({"reference_id": "\ud800"}, "reference_id"),
    ({"reference_id": 7}, "reference_id"),
    ({"description": "a\0b"}, "description"),
    ({"description": "\udfff"}, "description"),
    ({"amout": "1.00"}, "amout"),
]


@pytest.mark.parametrize("kind", ["credits", "debits"])
async def test_a_wrong_field_is_422_and_named(tollgate: Tollgate, kind: str) -> None:
    await tollgate.onboard(balance=None)

    for changed, field in WRONG:
        answer = await tollgate.post(f"{WALLET}/{kind}", posting(**changed))
        assert answer.status_code == 422, (changed, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert [error["field"] for error in answer.json()["errors"]] == [field], changed
    assert (await tollgate.get(f"{WALLET}/entries")).json()["data"] == []


async def test_a_missing_field_is_422_and_named(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answer = await tollgate.post(f"{WALLET}/debits", {"currency": "USD"})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["amount"]


async def test_invalid_json_is_400(tollgate: Tollgate) -> None:
    for content in (b"{", b"\xff", b'{"amount": "1.00",}', b"[" * 50_000):
        answer = await tollgate.post(
            f"{WALLET}/debits", content=content, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (
            400,
            "body_not_json",
        ), content[:20]


async def test_a_body_over_the_limit_is_413(tollgate: Tollgate) -> None:
    answer = await tollgate.post(f"{WALLET}/debits", posting(description="x" * 600_000))

    assert answer.status_code == 413


EVERY_ROUTE: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("GET", "/can-send", None),
    ("GET", "/explain", None),
    ("GET", "/blocks", None),
    ("GET", "/receipts", None),
    ("GET", "/wallet", None),
    ("GET", "/wallet/entries", None),
    ("GET", "/subscription", None),
    ("GET", "/campaigns", None),
    ("POST", "/wallet/debits", posting()),
    ("POST", "/wallet/credits", posting()),
    ("POST", "/wallet/freeze", {"reason": "x"}),
    ("POST", "/wallet/unfreeze", None),
    ("POST", "/suspend", {"reason": "x"}),
    ("POST", "/reinstate", None),
    ("POST", "/messages", {"to": "+14155550100", "body": "x"}),
    ("POST", "/campaigns", {"name": "x", "body": "x", "recipients": ["+14155550100"]}),
    ("POST", "/subscription", {"provider": "paypal", "subscription_id": "I-1"}),
]


async def test_an_unknown_organization_is_404(tollgate: Tollgate) -> None:
    for id_ in ("nobody", "no%20body", "%00", "a" * 101, "%2E%2Ex", "%F0%9F%98%80"):
        for method, path, body in EVERY_ROUTE:
            answer = await tollgate.ask(method, f"/v1/organizations/{id_}{path}", body, key="k")
            assert answer.status_code == 404, (method, path, id_, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_paths_and_methods_are_problems_too(tollgate: Tollgate) -> None:
    path = await tollgate.get("/v1/nothing")
    method = await tollgate.ask("PATCH", "/v1/organizations")

    assert (path.status_code, method.status_code) == (404, 405)
    assert {path.headers["content-type"], method.headers["content-type"]} == {
        "application/problem+json"
    }


async def test_no_key_is_401_and_says_how_to_bring_one(tollgate: Tollgate) -> None:
    missing = await tollgate.get("/v1/organizations", scope=None)
    unknown = await tollgate.get(
        "/v1/organizations", scope=None, headers={"Authorization": "Bearer tg_made-up"}
    )
    other = await tollgate.get(
        "/v1/organizations", scope=None, headers={"Authorization": "Basic dTpw"}
    )
    odd = await tollgate.get(
        "/v1/organizations", scope=None, headers={"Authorization": b"Bearer tg_\xff"}
    )

    for answer in (missing, unknown, other, odd):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_revoked_key_is_401_within_seconds(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    async with engine.begin() as conn:
        key, plain = await api_keys.create(conn, name="leaked", scope=Scope.READ)
    cached_keys = Keys(engine)
    assert await cached_keys.find(plain) is not None
    async with engine.begin() as conn:
        assert await api_keys.revoke(conn, key.id)

    answer = await tollgate.get(
        "/v1/organizations", scope=None, headers={"Authorization": f"Bearer {plain}"}
    )

    assert answer.status_code == 401


SCOPES: list[tuple[Scope, str, str, bool]] = [
    (Scope.READ, "GET", "/v1/organizations/acme", True),
    (Scope.READ, "POST", f"{WALLET}/debits", False),
    (Scope.READ, "POST", "/v1/organizations", False),
    (Scope.WRITE, "GET", "/v1/organizations/acme", True),
    (Scope.WRITE, "POST", f"{WALLET}/debits", True),
    (Scope.WRITE, "POST", f"{WALLET}/freeze", False),
    (Scope.WRITE, "POST", "/v1/organizations/acme/suspend", False),
    (Scope.WRITE, "POST", "/v1/organizations/acme/reinstate", False),
    (Scope.WRITE, "DELETE", "/v1/organizations/acme/blocks/admin", False),
    (Scope.OPERATOR, "POST", f"{WALLET}/unfreeze", True),
]


async def test_each_scope_opens_what_it_says(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    for scope, method, path, allowed in SCOPES:
        answer = await tollgate.ask(
            method, path, posting() if method == "POST" else None, scope=scope
        )
        assert (answer.status_code == 403) is not allowed, (scope, method, path, answer.text)
        if not allowed:
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_a_plain_key_is_nowhere_in_the_database(tollgate: Tollgate) -> None:
    async with tollgate.services.engine.connect() as conn:
        stored = str((await conn.execute(text("SELECT * FROM api_keys"))).all())

    assert not any(plain in stored for plain in tollgate.keys.values())


WRONG_ORGANIZATIONS: list[tuple[dict[str, object], str]] = [
    ({"id": "with space"}, "id"),
    ({"id": "../x"}, "id"),
    ({"name": " "}, "name"),
    ({"name": "a\0"}, "name"),
    ({"currency": "DOLLAR"}, "currency"),
    ({"twilio_account_sid": "SM0123456789abcdef0123456789abcdef"}, "twilio_account_sid"),
    ({"twilio_account_sid": "AC" + "f" * 32}, "twilio_account_sid"),
    ({"twilio_account_sid": "AC00000000000000000000000000000001"}, "twilio_account_sid"),
    ({"sender": "rcs:acme"}, "sender"),
    ({"price_per_segment": 0.01}, "price_per_segment"),
    ({"price_per_segment": "0.00000001"}, "price_per_segment"),
    ({"grace_period_seconds": -1}, "grace_period_seconds"),
]


async def test_onboarding_names_the_wrong_field(tollgate: Tollgate) -> None:
    wanted = organization("acme", await tollgate.account())

    for changed, field in WRONG_ORGANIZATIONS:
        answer = await tollgate.post("/v1/organizations", wanted | changed)
        assert answer.status_code == 422, (changed, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == [field], changed


async def test_a_database_that_is_down_is_503_and_tells_nothing_of_our_inside(
    tollgate: Tollgate, postgres: Postgres
) -> None:
    await tollgate.onboard()

    async with database_away(tollgate, postgres):
        answers = [
            await tollgate.post(f"{WALLET}/debits", posting()),
            await tollgate.get(WALLET),
            await tollgate.get("/v1/organizations", scope=Scope.READ),
        ]
        ready = await tollgate.get("/health/ready", scope=None)
    after = await tollgate.post(f"{WALLET}/debits", posting())

    for answer in answers:
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert answer.headers["content-type"] == "application/problem+json"
        assert not any(
            word in answer.text for word in ("Traceback", "psycopg", "connection", "127.0.0.1")
        )
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert after.status_code == 201


async def test_a_mistake_of_ours_is_500_and_tells_nothing_of_our_inside(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE wallets RENAME TO away"))

    answer = await tollgate.get(WALLET)

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert not any(word in answer.text for word in ("Traceback", "SELECT", "relation", "wallets"))


async def test_every_answer_has_a_request_id_and_keeps_the_callers(tollgate: Tollgate) -> None:
    ours = await tollgate.get("/health/live")
    theirs = await tollgate.get("/v1/nothing", headers={"X-Request-Id": "abc-123"})
    forged = await tollgate.get("/v1/nothing", headers={"X-Request-Id": "a b{}"})

    assert len(ours.headers["x-request-id"]) == 32
    assert theirs.headers["x-request-id"] == theirs.json()["request_id"] == "abc-123"
    assert forged.headers["x-request-id"] != "a b{}"
