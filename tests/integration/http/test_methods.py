"""The methods that each path reports, and the absence of redirects."""

import asyncio
from urllib.parse import urlsplit

from tests.integration.conftest import Tollgate

PATHS = {
    "/v1/organizations": "GET, HEAD, OPTIONS, POST",
    "/v1/organizations/acme/can-send": "GET, HEAD, OPTIONS",
    "/v1/organizations/acme/wallet/debits": "OPTIONS, POST",
    "/v1/organizations/acme/rates/US": "DELETE, GET, HEAD, OPTIONS, PUT",
    "/v1/organizations/acme/subscription": "GET, HEAD, OPTIONS, POST",
    "/webhooks/twilio/status": "OPTIONS, POST",
    "/webhooks/paypal": "OPTIONS, POST",
    "/health/live": "GET, HEAD, OPTIONS",
    "/openapi.json": "GET, HEAD, OPTIONS",
}


async def test_options_and_405_name_all_methods_of_a_path(tollgate: Tollgate) -> None:
    for path, allowed in PATHS.items():
        options = await tollgate.ask("OPTIONS", path, scope=None)
        other = await tollgate.ask("TRACE", path)

        assert (options.status_code, options.headers["allow"], options.content) == (
            204,
            allowed,
            b"",
        ), path
        assert (other.status_code, other.headers["allow"]) == (405, allowed), path
        assert other.headers["content-type"] == "application/problem+json"


async def test_options_of_what_is_not_there_is_404(tollgate: Tollgate) -> None:
    assert (await tollgate.ask("OPTIONS", "/v1/nothing")).status_code == 404


async def test_options_of_the_whole_server_names_what_it_serves_at_all(tollgate: Tollgate) -> None:
    listener = urlsplit(tollgate.url)
    reader, writer = await asyncio.open_connection(listener.hostname, listener.port)
    writer.write(b"OPTIONS * HTTP/1.1\r\nHost: tollgate\r\nConnection: close\r\n\r\n")

    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()

    assert head.startswith("HTTP/1.1 204"), head
    assert "allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" in head
    assert body == ""


async def test_every_method_that_is_named_is_served(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    schema = (await tollgate.get("/openapi.json", scope=None)).json()
    for path, at in schema["paths"].items():
        allowed = (
            (await tollgate.ask("OPTIONS", path.format_map(_Any()), scope=None))
            .headers["allow"]
            .split(", ")
        )
        assert {method.upper() for method in at} <= set(allowed), path


class _Any(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return "x"


async def test_head_is_get_without_the_body(tollgate: Tollgate) -> None:
    for path, scope in (("/health/live", None), ("/v1/organizations", "key")):
        key = {} if scope else {"scope": None}
        head, got = await tollgate.ask("HEAD", path, **key), await tollgate.ask("GET", path, **key)

        assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
    assert (await tollgate.ask("HEAD", "/v1/organizations", scope=None)).status_code == 401


async def test_a_path_with_a_control_character_is_no_path(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    for path in (
        "/health/live%0a",
        "/v1/organizations/acme/can-send%0A",
        "/health/%1b",
        "/docs%e2%80%ae",
    ):
        assert (await tollgate.get(path)).status_code == 404, path
    assert (await tollgate.ask("OPTIONS", "/health/live%0a")).status_code == 404


async def test_nobody_is_redirected(tollgate: Tollgate) -> None:
    for path in (
        "/v1/organizations/",
        "/health/live/",
        "/docs/",
        "//evil.example/",
        "/v1/organizations/acme/wallet/",
    ):
        answer = await tollgate.get(path, headers={"Host": "evil.example"}, follow_redirects=False)

        assert answer.status_code == 404, path
        assert "location" not in answer.headers
        assert "evil" not in answer.text
