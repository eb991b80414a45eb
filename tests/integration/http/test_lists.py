"""Every list is paged, with one form and one kind of cursor."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.app import create_app
from api.http.cursors import Cursors
from db import alerts
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from domain.alerts import AlertKind
from domain.lifecycle.standing import Block
from tests import builders
from tests.integration.billing.test_topups import topup_body
from tests.integration.cli.test_operating import parked
from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
NUMBERS = ["+14155550100", "+14155550101"]
NO_CAMPAIGN = "00000000-0000-7000-8000-000000000000"
ENDPOINT = f"we_{'0' * 24}"
SINGLE = {
    "AlertRecord": "one alert",
    "CanSend": "the reasons of one answer",
    "Bill": "the sums of one month",
    "Campaign": "one campaign",
    "Explanation": "the whole of one organization",
    "Margin": "one campaign's sums, split by country",
    "NotificationRoute": "one route, with its filters",
    "Policies": "the whole of what was set",
    "RecurringCost": "the cost of one subaccount",
    "Releases": "the numbers of one subaccount",
    "Subscriptions": "the current subscription beside those that it replaced",
    "WebhookDeliveryWithAttempts": "the attempts of one delivery",
    "WebhookEndpoint": "the filter and the secrets of one endpoint",
    "Wallet": "who froze one wallet: two at most",
}
"""Responses that contain an array but describe one object."""
NEEDED = {"/v1/messages": {"to": NUMBERS[0]}}
"""Query parameters without which a list answers nothing."""


def _schema() -> dict[str, Any]:
    return create_app().openapi()


def _gets() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Path, operation, and the name of the response's schema."""
    for path, methods in _schema()["paths"].items():
        for method, operation in methods.items():
            content = operation["responses"].get("200", {}).get("content", {})
            shape = content.get("application/json", {}).get("schema", {})
            if method == "get" and shape:
                yield path, operation, shape.get("$ref", "").rpartition("/")[2]


def _lists() -> list[str]:
    return [path for path, _, name in _gets() if name.endswith("Page")]


def test_no_operation_answers_a_bare_array() -> None:
    for path, methods in _schema()["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    assert content.get("schema", {}).get("type") != "array", (method, path, status)


def test_every_get_that_answers_an_array_answers_a_page() -> None:
    schemas = _schema()["components"]["schemas"]
    for path, operation, name in _gets():
        properties = schemas[name]["properties"]
        arrays = [
            field
            for field, shape in properties.items()
            if "array"
            in (shape.get("type"), *(variant.get("type") for variant in shape.get("anyOf", ())))
        ]
        parameters = {
            parameter["name"]: parameter["schema"] for parameter in operation.get("parameters", ())
        }
        if name.endswith("Page"):
            assert list(properties) == ["data", "next_cursor"], path
            assert properties["data"]["items"]["$ref"].endswith(f"/{name[:-4]}"), path
            assert parameters["cursor"]["anyOf"][0]["type"] == "string", path
            assert (parameters["limit"]["minimum"], parameters["limit"]["maximum"]) == (1, 500)
            assert not {"after", "before", "page", "offset", "next"} & set(parameters), path
        else:
            assert not arrays or name in SINGLE, (path, arrays)
            assert not {"cursor", "limit"} & set(parameters), path
    assert len(_lists()) >= 12


async def test_every_list_is_read_whole_page_by_page(tollgate: Tollgate) -> None:
    campaign_id = await _two_of_each(tollgate)
    act_id = await _two_bulk_acts(tollgate)

    for path in _lists():
        at = path.format(
            organization_id="acme",
            campaign_id=campaign_id,
            endpoint_id=ENDPOINT,
            bulk_act_id=act_id,
        )
        needed = NEEDED.get(path, {})
        whole = (await tollgate.get(at, params={"limit": 500, **needed})).json()
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await tollgate.get(at, params={"limit": 1, **needed, **cursor})
            assert page.status_code == 200, (at, page.text)
            assert len(page.json()["data"]) == 1, at
            found += page.json()["data"]
            if page.json()["next_cursor"] is None:
                break
            cursor = {"cursor": page.json()["next_cursor"]}
        assert found == whole["data"], at
        assert whole["next_cursor"] is None, at
        assert len(found) >= 2 or at == "/v1/switches", at


async def _two_bulk_acts(tollgate: Tollgate) -> str:
    """Returns the id of one with two organizations."""
    act = {"act": "freeze", "filter": {"q": "b"}, "reason": "x"}
    await builders.run(tollgate.services.engine, "UPDATE standings SET deadline = now()")
    await tollgate.post("/v1/bulk-acts", act)
    answer = await tollgate.post("/v1/bulk-acts", act | {"filter": {"stuck": False}})
    return str(answer.json()["id"])


async def _two_of_each(tollgate: Tollgate) -> str:
    """Returns the id of a campaign with two messages."""
    engine = tollgate.services.engine
    await tollgate.onboard()
    await tollgate.onboard("beta")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    campaigns: list[httpx.Response] = []
    for name in ("a", "👋" * 100):
        key = str(len(name))
        hold = {"reference_id": name, "amount": "1.00", "currency": "USD", "expires_at": tomorrow}
        await tollgate.post(f"{ACME}/wallet/holds", hold)
        await tollgate.debit("0.10", f"debit-{name}")
        campaign = {"name": name, "body": "x", "recipients": NUMBERS}
        campaigns.append(await tollgate.post(f"{ACME}/campaigns", campaign, key=key))
        sent = await tollgate.post(f"{ACME}/messages", {"to": "+14155550100", "body": "x"}, key=key)
        assert sent.status_code in (200, 201, 202), sent.text
        await builders.run(
            engine,
            "INSERT INTO unpaid_sends (organization_id, message_id, attempt, message_sid,"
            " delivery_status, found_at) VALUES ('acme', :id, 1, 'SM1', 'sent', '2026-01-01Z')",
            id=UUID(sent.json()["id"]),
        )
        await parked(engine, f"I-{name}")
        async with engine.begin() as conn:
            await operator_acts.record(
                conn,
                OperatorAct.STEP_RETRIED,
                by="ops",
                organization_id="acme",
                subject="",
                reason=name,
            )
        created = await tollgate.post(f"{ACME}/wallet/topups", topup_body(), key=key)
        assert created.status_code == 201, created.text
    for country in ("DE", "US"):
        for path, currency in (("/v1/rates", {"currency": "USD"}), (f"{ACME}/rates", {})):
            rate = {"price_per_segment": "0.01", **currency}
            await tollgate.ask("PUT", f"{path}/{country}", rate)
    async with engine.begin() as conn:
        await alerts.raise_(conn, "acme", AlertKind.REFUND, "refund R-1")
        await alerts.raise_(conn, "acme", AlertKind.STUCK, "a step")
    for id_ in ("ntr_1", "ntr_2"):
        await builders.run(
            engine,
            "INSERT INTO notification_routes (id, name, scheme, url_encrypted, severities, kinds)"
            " VALUES (:id, 'ops', 'ntfy', '', '{}', '{}')",
            id=f"{id_:0<36}",
        )
    await builders.run(
        engine,
        "INSERT INTO migrations (organization_id, source_provider, source_subscription_id,"
        " target_provider, target_plan_id, return_url, cancel_url, state)"
        " VALUES ('acme', 'paypal', 'I-1', 'stripe', 'p', 'https://a', 'https://a', 'started')",
    )
    await builders.run(
        engine,
        "INSERT INTO foreign_messages (organization_id, message_sid, direction, channel, number, happened_at)"
        " SELECT 'acme', sid, 'inbound', 'sms', '+1***00', now() FROM unnest(ARRAY['SM8', 'SM9']) AS sid",
    )
    for endpoint_id in (ENDPOINT, ENDPOINT.replace("0", "1")):
        await builders.run(
            engine,
            "INSERT INTO webhook_endpoints (id, url) VALUES (:id, 'https://a.example')",
            id=endpoint_id,
        )
        await builders.run(
            engine,
            "INSERT INTO webhook_deliveries (endpoint_id, event_id) VALUES (:id, 'evt_1')",
            id=ENDPOINT,
        )
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})
    await tollgate.post(f"{ACME}/reinstate")
    await tollgate.post(f"{ACME}/suspend", {"reason": "x"})
    await builders.block(engine, "acme", kind=Block.DISPUTE)
    return str(campaigns[-1].json()["id"])


def _cursor(content: object) -> str:
    return (
        urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")
    )


FOREIGN = [
    "",
    "x",
    "100",
    "%00",
    "ä",
    "=" * 100,
    "x" * 2001,
    _cursor(None),
    _cursor({"a": 1, "b": 2}),
    _cursor(["elsewhere", 1]),
    _cursor("[" * 1000),
    urlsafe_b64encode(b"[" * 600).decode().rstrip("="),
    urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
]
POSITIONS: list[object] = [
    None,
    -1,
    2**63,
    1.5,
    True,
    "\x00",
    "\ud800",
    "x" * 5000,
    [],
    ["x"],
    ["\x00", "\x00"],
    ["DE", "\x00"],
    ["2026-01-01T00:00:00", "refund"],
    ["9999-99-99T00:00:00Z", "refund"],
    ["2026-01-01T00:00:00Z", "no-uuid", 1],
    {},
]


async def test_an_invalid_cursor_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    for path in _lists():
        at = path.format(
            organization_id="acme",
            campaign_id=NO_CAMPAIGN,
            endpoint_id=ENDPOINT,
            bulk_act_id=NO_CAMPAIGN,
        )
        own = [_cursor([path.rpartition("/")[2], position]) for position in POSITIONS]
        for cursor in [*FOREIGN, *own]:
            answer = await tollgate.get(at, params={"cursor": cursor})
            place = at, cursor
            assert answer.status_code == 422, (place, answer.text)
            assert answer.json()["errors"][0]["field"] == "cursor", place


async def test_a_cursor_of_one_list_is_refused_by_another(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.onboard("beta")
    await tollgate.debit("0.10", "d")
    cursor = (await tollgate.get("/v1/organizations?limit=1")).json()["next_cursor"]

    own = await tollgate.get("/v1/organizations", params={"cursor": cursor})
    other = await tollgate.get("/v1/switches", params={"cursor": cursor})
    padded = await tollgate.get("/v1/organizations", params={"cursor": cursor + "="})

    assert [entry["id"] for entry in own.json()["data"]] == ["beta"]
    assert (other.status_code, padded.status_code) == (422, 422)


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", ""])
async def test_a_page_has_between_one_and_five_hundred_items(
    tollgate: Tollgate, limit: str
) -> None:
    await tollgate.onboard()
    for path in _lists():
        at = path.format(
            organization_id="acme",
            campaign_id=NO_CAMPAIGN,
            endpoint_id=ENDPOINT,
            bulk_act_id=NO_CAMPAIGN,
        )
        answer = await tollgate.get(at, params={"limit": limit})
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["field"] == "limit", path


def test_a_cursor_leads_back_to_its_position() -> None:
    cursors: Cursors[int] = Cursors("entries", int)

    shown, following = cursors.cut([5, 4, 3], 2, lambda seq: seq)

    assert list(shown) == [5, 4]
    assert cursors.read(following) == 4
    assert cursors.cut([5, 4], 2, lambda seq: seq) == ([5, 4], None)
    assert cursors.read(None) is None
