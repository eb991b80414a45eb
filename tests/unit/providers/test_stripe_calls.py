"""Stripe's responses become our errors, through the real SDK and a real socket; also checks the
requests.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from domain.money import Money
from providers.errors import NotFound, ProviderError, ProviderRefused, ProviderUnavailable
from providers.http import fast_client
from providers.stripe import API_VERSION, Stripe
from providers.stripe.calls import Declined, Unfit
from tests.unit.providers.local import HANG_UP, SILENCE, Reply, Server, closed_port, reply, serving

KEY = "sk_test_x"
AT = datetime(2026, 11, 26, 12, 0, 5, tzinfo=UTC)
SESSION = {"id": "cs_1", "object": "checkout.session", "url": "https://pay.test/cs_1"}


def adapter(client: Any, url: str) -> Stripe:
    return Stripe(client=client, base_url=url, api_key=KEY, webhook_secrets=["whsec_x"])


@asynccontextmanager
async def answering(answer: Reply) -> AsyncIterator[tuple[Stripe, Server]]:
    async with serving(lambda _: answer) as server, fast_client(read=0.3) as client:
        yield adapter(client, server.url), server


def refusal(status: int, kind: str, code: str | None = None, **headers: str) -> Reply:
    error = {"type": kind, "message": "no"} | ({"code": code} if code else {})
    return reply({"error": error}, status, request_id="req_1", **headers)


async def top_up(stripe: Stripe) -> str:
    link = await stripe.create_topup(
        organization_id="acme",
        amount=Money(25_000_000, "USD"),
        return_url="https://host.test/done",
        cancel_url="https://host.test/not",
        idempotency_key="k-1",
    )
    return link.checkout_id


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (refusal(400, "invalid_request_error", "parameter_missing"), Unfit, "parameter_missing"),
        (refusal(400, "invalid_request_error", "resource_missing"), Unfit, "resource_missing"),
        (refusal(400, "idempotency_error"), ProviderRefused, "idempotency_error"),
        (refusal(401, "invalid_request_error"), ProviderRefused, "invalid_request_error"),
        (refusal(402, "card_error", "card_declined"), Declined, "card_declined"),
        (refusal(403, "invalid_request_error"), ProviderRefused, "invalid_request_error"),
        (refusal(404, "invalid_request_error", "resource_missing"), NotFound, "resource_missing"),
        (refusal(404, "invalid_request_error"), ProviderRefused, "invalid_request_error"),
        (
            refusal(409, "idempotency_error", "idempotency_key_in_use"),
            ProviderUnavailable,
            "idempotency_key_in_use",
        ),
        (
            refusal(429, "invalid_request_error", "lock_timeout"),
            ProviderUnavailable,
            "lock_timeout",
        ),
        (refusal(429, "invalid_request_error", "rate_limit"), ProviderUnavailable, "rate_limit"),
        (refusal(500, "api_error"), ProviderUnavailable, "api_error"),
        (Reply(404, b"<html>"), ProviderUnavailable, "HTTP_404"),
        (Reply(403, b"<html>"), ProviderUnavailable, "HTTP_403"),
        (Reply(503, b"<html>"), ProviderUnavailable, "HTTP_503"),
        (Reply(302, b"{}", {"location": "/elsewhere"}), ProviderUnavailable, "HTTP_302"),
        (Reply(200, b"<html>"), ProviderUnavailable, "HTTP_200"),
        (Reply(200, b"[]"), ProviderUnavailable, "UNREADABLE"),
        (Reply(200, b"{}"), ProviderUnavailable, ""),
        (HANG_UP, ProviderUnavailable, "NO_ANSWER"),
        (SILENCE, ProviderUnavailable, "NO_ANSWER"),
    ],
)
async def test_every_failed_response_is_one_error_after_one_call(
    answer: Reply, error: type[ProviderError], code: str
) -> None:
    async with answering(answer) as (stripe, server):
        with pytest.raises(ProviderError) as failure:
            await top_up(stripe)

    assert (type(failure.value), failure.value.code) == (error, code)
    assert server.paths() == ["POST /v1/checkout/sessions"]
    assert failure.value.reference == ("req_1" if b'"error"' in answer.body else "")


async def test_an_address_without_a_server_is_unavailable() -> None:
    async with fast_client(read=0.3) as client:
        with pytest.raises(ProviderUnavailable):
            await top_up(adapter(client, await closed_port()))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry_after": "7"}, 7.0), ({}, None), ({"retry_after": "soon"}, None)],
)
async def test_how_long_to_wait_is_passed_on(
    headers: dict[str, str], seconds: float | None
) -> None:
    async with answering(refusal(429, "invalid_request_error", "rate_limit", **headers)) as (
        stripe,
        _,
    ):
        with pytest.raises(ProviderUnavailable) as failure:
            await top_up(stripe)

    assert failure.value.retry_after == seconds


async def test_a_call_names_the_api_version_and_the_key_and_reveals_nothing_about_us() -> None:
    async with answering(reply(SESSION)) as (stripe, server):
        assert await top_up(stripe) == "cs_1"

    [request] = server.received
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (request.headers["stripe-version"], request.headers["idempotency-key"]) == (
        API_VERSION,
        "k-1",
    )
    assert "telemetry_id" not in request.headers["x-stripe-client-user-agent"]
    assert "x-stripe-client-telemetry" not in request.headers


async def test_a_snapshot_is_never_dated_after_its_query() -> None:
    started, ended = int(AT.timestamp()) - 60, int(AT.timestamp()) + 3600
    answer = reply(
        {"id": "sub_1", "status": "canceled", "created": started, "ended_at": ended},
        date=format_datetime(AT),
    )
    async with answering(answer) as (stripe, _):
        now = await stripe.get_subscription("sub_1")

    assert now.as_of == AT - timedelta(minutes=1)
