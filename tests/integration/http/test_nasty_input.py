"""Malicious input to every route: refused with a problem document, never a 500."""

import base64
import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.integration.conftest import Tollgate, organization
from tests.soak import also_soaking, thinned

TEXTS = [
    "",
    "a\0b",
    "\x1b[2J\x1b]0;x\x07",
    "\x85\x9b\u2028",
    "\u202e\u2066x",
    "\U0010ffff",
    "x" * 5_000,
    "9" * 5_000,
    "1e400",
    "../../etc/passwd",
    "%00",
]
QUOTED = [quote(text, safe="") for text in TEXTS]
VALUES: list[object] = [
    *TEXTS,
    "NaN",
    "\ud800",
    None,
    True,
    -1,
    2**63,
    10**300,
    10**4000,
    0.1,
    float("nan"),
    float("inf"),
    [[]],
    {"\0": "\0"},
]
RAW: list[bytes] = [
    b"",
    b" ",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"id": "x"}'.encode("utf-16"),
    b'{"id": "\xc3\x28"}',
    b"{}",
    b"[]",
    b"[[]]",
    b"[1]",
    b"null",
    b"1e400",
    b"-1e400",
    b"NaN",
    b'"x"',
    b"1" * 10_000,
    b"[" * 100_000,
    b"{" + b'"a":{' * 50_000,
    b'{"a":1,"a":2,"id":"a","id":"b"}',
    b'{"\\ud800": "\\udfff"}',
    b'{"amount": 1e999999999}',
    b"a=b&c=d",
    b"AccountSid=%00&MessageSid=%00&MessageStatus=%00",
]
TYPES = [
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "application/json;charset=\xff",
    "multipart/form-data",
    "x",
]


def sample(  # noqa: C901 - one case for each form
    schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = ""
) -> object:
    """A value that the schema may allow."""
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    if schema.get("examples"):
        return schema["examples"][0]
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return sample(schema[keyword][0], schemas, name)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if name in EXAMPLES:
        return EXAMPLES[name]
    match schema.get("type"):
        case "object":
            return {
                key: sample(value, schemas, key)
                for key, value in schema.get("properties", {}).items()
            }
        case "array":
            return [sample(schema.get("items", {}), schemas)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "2030-01-01T00:00:00Z" if schema.get("format") == "date-time" else "x"


EXAMPLES: dict[str, object] = {
    "currency": "USD",
    "country": "US",
    "recipients": ["+14155550100"],
    "to": "+14155550100",
}


def operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, at in schema["paths"].items():
        for method, operation in at.items():
            yield method.upper(), path, operation


def parameters(operation: Mapping[str, Any], where: str) -> list[str]:
    return [
        parameter["name"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == where
    ]


async def refused(tollgate: Tollgate, method: str, path: str, what: object, **options: Any) -> None:
    """No response is a server error, and every error is a problem document."""
    try:
        answer = await tollgate.ask(method, path, **options)
    except httpx.RemoteProtocolError as problem:
        raise AssertionError(f"{method} {path[:100]} {ascii(what)[:200]}: no answer") from problem
    about = f"{method} {path[:100]} {ascii(what)[:200]}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code < 500 or answer.status_code in (502, 503), about
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", about


@pytest.fixture
async def schema(tollgate: Tollgate) -> dict[str, Any]:
    await tollgate.onboard()
    described: dict[str, Any] = (await tollgate.get("/openapi.json", scope=None)).json()
    return described


PLACES = {
    "organization_id": "acme",
    "country": "US",
    "kind": "admin",
    "reference_id": "r",
    "reference": "r",
}


def at(path: str, **changed: str) -> str:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    uuid = "00000000-0000-0000-0000-000000000000"
    values = {name: PLACES.get(name.partition(":")[0], uuid) for name in names}
    for name in names:
        path = path.replace(f"{{{name}}}", changed.get(name, values[name]))
    return path


@also_soaking
async def test_nasty_paths(tollgate: Tollgate, schema: dict[str, Any], soaking: bool) -> None:
    some = thinned(soaking=soaking)
    for method, path, operation in operations(schema):
        for name in parameters(operation, "path"):
            for text in some([*QUOTED, "%ff", "%ED%A0%80", "%C0%80", "%2F", ".", "%zz"]):
                if len(text) < 20_000:
                    await refused(tollgate, method, at(path, **{name: text}), text, key="k")


@also_soaking
async def test_nasty_queries_and_headers(
    tollgate: Tollgate, schema: dict[str, Any], soaking: bool
) -> None:
    some = thinned(soaking=soaking)
    for method, path, operation in operations(schema):
        for name in parameters(operation, "query"):
            for text in some([*QUOTED, "%ff", "%ED%A0%80", "%", f"1&{name}=2"]):
                await refused(tollgate, method, f"{at(path)}?{name}={text}", text, key="k")
        for name in parameters(operation, "header"):
            for value in some((b"", b"\xff", b"a\xc2\x9b", b"x" * 5_000, b"a b", b"\x1b")):
                await refused(tollgate, method, at(path), value, headers={name: value})


@also_soaking
async def test_nasty_bodies(tollgate: Tollgate, schema: dict[str, Any], soaking: bool) -> None:
    some = thinned(soaking=soaking)
    for method, path, _ in operations(schema):
        if method == "GET":
            continue
        for raw in some(RAW):
            headers = {"Content-Type": "application/json"}
            await refused(tollgate, method, at(path), raw, content=raw, headers=headers, key="k")
        for type_, raw in some(product(TYPES, (b"{}", b"\xff", b"a=b"))):
            headers = {"Content-Type": type_.encode("latin-1")}  # type: ignore[dict-item]
            await refused(tollgate, method, at(path), type_, content=raw, headers=headers, key="k")


@also_soaking
async def test_nasty_fields(tollgate: Tollgate, schema: dict[str, Any], soaking: bool) -> None:
    some = thinned(soaking=soaking)
    schemas = schema["components"]["schemas"]
    for method, path, operation in operations(schema):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        body = sample(content["schema"], schemas)
        assert isinstance(body, dict)
        for name in body:
            for value in some(VALUES):
                nasty = json.dumps({**body, name: value}).encode()
                headers = {"Content-Type": "application/json"}
                await refused(
                    tollgate,
                    method,
                    at(path),
                    (name, value),
                    content=nasty,
                    headers=headers,
                    key="k",
                )


SIGNATURES = [
    "", "=", "t=", "t=1", "t=1=2,v1=a", "t=1,v1=\xff", "t=x,v1=", "v1=,t=", ",", "t=" + "9" * 4_000 + ",v1=a",
    "t=1,t=2,v1=", "t=-1,v1=00", "t=1e5,v1=0", "\x9b",
]  # fmt: skip


@also_soaking
async def test_nasty_signatures(tollgate: Tollgate, soaking: bool) -> None:
    some = thinned(soaking=soaking)
    for raw in (*RAW, b'{"id": "evt_1"}'):
        for signature in some(SIGNATURES):
            headers = {"Stripe-Signature": signature.encode("latin-1")}
            await refused(
                tollgate,
                "POST",
                "/webhooks/stripe",
                signature,
                content=raw,
                headers=headers,
                scope=None,
            )
            headers = {"X-Twilio-Signature": signature.encode("latin-1")}
            path = "/webhooks/twilio/status?attempt=%00"
            await refused(
                tollgate, "POST", path, signature, content=raw, headers=headers, scope=None
            )
    genuine = (await tollgate.signed(raw="{}"))[1]
    for name in genuine:
        for value in some(
            (*SIGNATURES, "http://[", "https://127.0.0.1:99999/x", "https://\xff", "x" * 3_000)
        ):
            headers = {**genuine, name: value.encode("latin-1")}  # type: ignore[dict-item]
            await refused(
                tollgate,
                "POST",
                "/webhooks/paypal",
                (name, value),
                content=b"{}",
                headers=headers,
                scope=None,
            )


@also_soaking
async def test_nasty_bodies_that_are_signed(tollgate: Tollgate, soaking: bool) -> None:
    some = thinned(soaking=soaking)
    await tollgate.onboard()
    resource = {"id": "I-1", "custom_id": "acme", "status": "SUSPENDED"}
    event = {
        "id": "WH-1",
        "event_type": "BILLING.SUBSCRIPTION.SUSPENDED",
        "create_time": "2026-01-01T00:00:00Z",
        "resource_type": "subscription",
        "resource": resource,
    }
    for name in event:
        for value in some(VALUES):
            raw = json.dumps({**event, name: value})
            signed, headers = await tollgate.signed(raw=raw)
            await refused(
                tollgate,
                "POST",
                "/webhooks/paypal",
                (name, value),
                content=signed,
                headers=headers,
                scope=None,
            )
    for name in ("id", "custom_id", "status", "billing_info", "amount"):
        for value in some(VALUES):
            raw = json.dumps({**event, "resource": {**resource, name: value}})
            signed, headers = await tollgate.signed(raw=raw)
            await refused(
                tollgate,
                "POST",
                "/webhooks/paypal",
                (name, value),
                content=signed,
                headers=headers,
                scope=None,
            )


@also_soaking
async def test_nasty_callbacks_that_are_signed(tollgate: Tollgate, soaking: bool) -> None:
    some = thinned(soaking=soaking)
    await tollgate.onboard()
    account = tollgate.twilio.state.accounts[tollgate.accounts["acme"]]
    fields = {
        "AccountSid": account.sid,
        "MessageSid": "SM" + "0" * 32,
        "MessageStatus": "failed",
        "ErrorCode": "30007",
    }
    for name in fields:
        for text in TEXTS:
            for query in some(
                ("", "?attempt=%00", "?attempt=" + quote("\U0010ffff"), "?attempt=a&attempt=b")
            ):
                changed = {**fields, name: text}
                path = f"/webhooks/twilio/status{query}"
                signature = RequestValidator(account.auth_token).compute_signature(
                    tollgate.url + path, changed
                )
                headers = {"X-Twilio-Signature": signature}
                await refused(
                    tollgate, "POST", path, (name, text), data=changed, headers=headers, scope=None
                )


async def test_a_genuine_signature_with_more_than_a_time_is_refused(tollgate: Tollgate) -> None:
    signed = (
        await tollgate.http.post(f"{tollgate.stripe.url}/_sim/sign", json={"raw": "{}"})
    ).json()
    raw, headers = base64.b64decode(signed["body_base64"]), signed["headers"]
    [name] = [name for name in headers if name.lower() == "stripe-signature"]
    time, _, rest = headers[name].partition(",")
    for changed in (f"{time}=2", f"{time}=", f"t= {time[2:]}", f"t=+{time[2:]}"):
        about = {**headers, name: f"{changed},{rest}"}
        answer = await tollgate.http.post(
            f"{tollgate.url}/webhooks/stripe", content=raw, headers=about
        )
        assert answer.status_code == 400, (changed, answer.text)


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\x9b", "\u202e", "\u2028"])
async def test_control_characters_are_refused_where_they_enter(
    tollgate: Tollgate, sign: str
) -> None:
    await tollgate.onboard()
    text, money = f"a{sign}b", {"amount": "1.00", "currency": "USD"}
    acme = "/v1/organizations/acme"
    requests: list[tuple[str, dict[str, object], str]] = [
        (
            "/v1/organizations",
            organization("b", tollgate.accounts["acme"]) | {"name": text},
            "name",
        ),
        (f"{acme}/suspend", {"reason": text}, "reason"),
        (f"{acme}/wallet/freeze", {"reason": text}, "reason"),
        (f"{acme}/wallet/credits", {"reference_id": text, **money}, "reference_id"),
        (
            f"{acme}/wallet/credits",
            {"reference_id": "r", "description": text, **money},
            "description",
        ),
        (f"{acme}/campaigns", {"name": text, "body": "x", "recipients": []}, "name"),
        (f"{acme}/subscription/cancel", {"reason": text}, "reason"),
    ]
    if sign < "\xff":
        requests.append((f"{acme}/messages", {"to": "+14155550100", "body": text}, "body"))

    for path, body, field in requests:
        answer = await tollgate.post(path, body, key="k")
        assert answer.status_code == 422, (path, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == [field], path
