"""A webhook is accepted only if PayPal's certificate signed exactly these bytes for one of our
webhook ids.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from providers.errors import InvalidSignature, VerificationUnavailable
from providers.http import fast_client
from providers.paypal import Certificates, PayPal, Trust, chains
from tests.unit.providers.local import (
    HANG_UP,
    NOW,
    WEBHOOK_ID,
    Issued,
    Reply,
    Server,
    issue,
    reply,
    serving,
    signed,
)

RAW = b'{"id": "WH-1", "create_time": "2026-11-23T11:59:58Z", "amount": 1.0}'
ROOT = issue("Root", authority=True)
INTERMEDIATE = issue("Intermediate", authority=True, by=ROOT)
LEAF = issue(by=INTERMEDIATE)
PEM = LEAF.pem + INTERMEDIATE.pem
CERT = "/v1/notifications/certs/CERT-1"


@dataclass
class World:
    server: Server
    paypal: PayPal
    serves: dict[str, Reply] = field(default_factory=dict)

    def url(self, name: str = "CERT-1") -> str:
        return f"{self.server.url}/v1/notifications/certs/{name}"

    def headers(self, raw: bytes = RAW, signer: Issued = LEAF) -> dict[str, str]:
        return signed(raw, signer, self.url())

    async def verify(
        self, raw: bytes = RAW, headers: dict[str, str] | None = None, now: datetime = NOW
    ) -> None:
        await self.paypal.verify_webhook(
            raw, self.headers() if headers is None else headers, now=now
        )


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async for built in worlds(online_fallback=False):
        yield built


@pytest_asyncio.fixture
async def world_that_asks() -> AsyncIterator[World]:
    async for built in worlds(online_fallback=True):
        yield built


async def worlds(*, online_fallback: bool) -> AsyncIterator[World]:
    serves = {
        CERT: Reply(200, PEM),
        "/v1/oauth2/token": reply({"access_token": "A", "expires_in": 3600}),
    }
    async with (
        serving(lambda request: serves.get(request.path, Reply(404))) as server,
        fast_client(server.url) as client,
    ):
        paypal = PayPal(
            client=client,
            client_id="id",
            client_secret="secret",
            webhook_ids=["an-older-id", WEBHOOK_ID],
            certificates=Certificates(client, Trust(roots=(ROOT.certificate,)), [server.url]),
            online_fallback=online_fallback,
        )
        yield World(server, paypal, serves)


async def test_a_genuine_event_is_verified_for_any_of_our_webhook_ids(world: World) -> None:
    await world.verify()


async def test_one_changed_byte_is_refused(world: World) -> None:
    with pytest.raises(InvalidSignature):
        await world.verify(RAW.replace(b"1.0", b"2.0"), world.headers())


async def test_a_body_parsed_and_written_again_is_refused(world: World) -> None:
    with pytest.raises(InvalidSignature):
        await world.verify(
            json.dumps(json.loads(RAW), separators=(",", ":")).encode(), world.headers()
        )


async def test_a_signature_for_another_webhook_id_is_refused(world: World) -> None:
    with pytest.raises(InvalidSignature):
        await world.verify(headers=signed(RAW, LEAF, world.url(), webhook_id="somebody-else"))


@pytest.mark.parametrize(
    "name", ["transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo"]
)
async def test_a_missing_header_is_refused(world: World, name: str) -> None:
    headers = world.headers()
    del headers[f"paypal-{name}"]

    with pytest.raises(InvalidSignature):
        await world.verify(headers=headers)
    assert world.server.received == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paypal-transmission-id", "t-2"),
        ("paypal-transmission-time", "2026-11-24T00:00:00Z"),
    ],
)
async def test_a_changed_header_is_refused(world: World, name: str, value: str) -> None:
    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers() | {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paypal-transmission-id", "t\t1"),
        ("paypal-transmission-id", "té"),
        ("paypal-transmission-id", "t" * 2049),
        ("paypal-transmission-time", "yesterday"),
        ("paypal-transmission-sig", "no base64!"),
        ("paypal-transmission-sig", base64.b64encode(b"short").decode()),
        ("paypal-auth-algo", "SHA1withRSA"),
        ("paypal-auth-algo", "none"),
    ],
)
async def test_headers_that_no_genuine_delivery_has_are_refused_without_a_call(
    world_that_asks: World, name: str, value: str
) -> None:
    with pytest.raises(InvalidSignature):
        await world_that_asks.verify(headers=world_that_asks.headers() | {name: value})
    assert world_that_asks.server.received == []


@pytest.mark.parametrize(
    "address",
    [
        "https://api.paypal.com.evil.test{cert}",
        "https://evilpaypal.com{cert}",
        "https://api.paypal.com@evil.test{cert}",
        "https://user:pw@127.0.0.1{cert}",
        "http://api.paypal.com{cert}",
        "https://api.paypal.com:8443{cert}",
        "{url}/v1/notifications/certs/../../evil",
        "{url}/v1/notifications/certs/%2e%2e",
        "{url}/v1/notifications/certs/",
        "{url}/v1/notifications/certs/CERT-1?x=1",
        "{url}/v1/notifications/certs/CERT-1#x",
        "{url}/evil/v1/notifications/certs/CERT-1",
        "{url}{cert}\n",
        "//127.0.0.1{cert}",
        "file:///etc/passwd",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(world: World, address: str) -> None:
    address = address.format(url=world.server.url, cert=CERT)

    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers() | {"paypal-cert-url": address})
    assert world.server.received == []


async def test_a_redirect_is_not_followed(world: World) -> None:
    world.serves[CERT] = Reply(302, b"", {"location": world.url("CERT-2")})
    world.serves["/v1/notifications/certs/CERT-2"] = Reply(200, PEM)

    with pytest.raises(InvalidSignature):
        await world.verify()
    assert world.server.paths() == [f"GET {CERT}"]


@pytest.mark.parametrize(
    "leaf",
    [
        issue(by=INTERMEDIATE, ends=NOW - timedelta(days=1)),
        issue("api.paypal.com", by=INTERMEDIATE),
        issue(by=INTERMEDIATE, alternative="evil.test"),
        issue(),
        issue(by=issue("Root", authority=True)),
        issue(by=INTERMEDIATE, authority=True),
    ],
    ids=[
        "expired",
        "another-name",
        "another-san",
        "self-signed",
        "a-root-of-that-name",
        "authority",
    ],
)
async def test_a_certificate_that_is_not_paypals_is_refused(world: World, leaf: Issued) -> None:
    world.serves[CERT] = Reply(200, leaf.pem + INTERMEDIATE.pem)

    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers(signer=leaf))


@pytest.mark.parametrize(
    "issuer",
    [
        issue("Not an authority", by=ROOT),
        issue("Not an authority", by=ROOT, may_issue=True),
        issue("May not issue", by=ROOT, authority=True, may_issue=False),
    ],
    ids=["no-authority", "no-authority-that-says-it-may", "an-authority-that-may-not"],
)
async def test_a_leaf_of_an_issuer_that_may_not_issue_is_refused(
    world: World, issuer: Issued
) -> None:
    leaf = issue(by=issuer)
    world.serves[CERT] = Reply(200, leaf.pem + issuer.pem)

    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers(signer=leaf))


async def test_a_leaf_of_an_issuer_that_may_issue_is_believed(world: World) -> None:
    issuer = issue("May issue", by=ROOT, authority=True, may_issue=True)
    leaf = issue(by=issuer)
    world.serves[CERT] = Reply(200, leaf.pem + issuer.pem)

    await world.verify(headers=world.headers(signer=leaf))


async def test_a_leaf_that_says_nothing_of_issuing_is_believed(world: World) -> None:
    leaf = issue(by=INTERMEDIATE, constrained=False)
    world.serves[CERT] = Reply(200, leaf.pem + INTERMEDIATE.pem)

    await world.verify(headers=world.headers(signer=leaf))


def test_without_a_root_nothing_is_believed() -> None:
    with pytest.raises(chains.Untrusted, match="no root"):
        chains.verify(LEAF.certificate, [INTERMEDIATE.certificate], Trust(roots=()), NOW)


def test_a_key_of_another_kind_signs_no_webhook() -> None:
    leaf = issue(by=INTERMEDIATE, public_key=ec.generate_private_key(ec.SECP256R1()).public_key())

    with pytest.raises(chains.Untrusted, match="not RSA"):
        chains.verify(
            leaf.certificate, [INTERMEDIATE.certificate], Trust(roots=(ROOT.certificate,)), NOW
        )


async def test_a_leaf_issued_by_another_leaf_is_refused(world: World) -> None:
    forged = issue(by=LEAF)
    world.serves[CERT] = Reply(200, forged.pem + PEM)

    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers(signer=forged))


async def test_a_certificate_without_its_intermediate_is_refused_unless_we_have_it(
    world: World,
) -> None:
    world.serves[CERT] = Reply(200, LEAF.pem)
    with pytest.raises(InvalidSignature):
        await world.verify()

    trust = Trust(roots=(ROOT.certificate,), intermediates=(INTERMEDIATE.certificate,))
    async with fast_client() as client:
        signer = await Certificates(client, trust, [world.server.url]).signer(world.url(), NOW)

    assert signer.key.public_numbers() == LEAF.key.public_key().public_numbers()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_an_invalid_certificate_is_refused(world: World, body: bytes) -> None:
    world.serves[CERT] = Reply(200, body)

    with pytest.raises(InvalidSignature):
        await world.verify()


async def test_more_than_64_kib_of_certificate_is_refused(world: World) -> None:
    world.serves[CERT] = Reply(200, PEM + b"\n" * 70_000)

    with pytest.raises(InvalidSignature):
        await world.verify()


@pytest.mark.parametrize("answer", [Reply(503), HANG_UP, Reply(429)], ids=["503", "hang-up", "429"])
async def test_a_certificate_server_that_is_down_is_no_forgery_and_is_queried_again_later(
    world: World, answer: Reply
) -> None:
    world.serves[CERT] = answer
    for _ in range(3):
        with pytest.raises(VerificationUnavailable):
            await world.verify()
    requests_while_down = len(
        [request for request in world.server.received if request.path == CERT]
    )
    world.serves[CERT] = Reply(200, PEM)

    await world.verify(now=NOW + timedelta(seconds=31))

    # aiohttp repeats a GET on a fresh connection
    assert requests_while_down == (2 if answer is HANG_UP else 1)


async def test_a_certificate_is_fetched_once_for_many_at_a_time_and_kept(world: World) -> None:
    await asyncio.gather(*(world.verify() for _ in range(50)))
    await world.verify(now=NOW + timedelta(days=13))

    assert world.server.paths() == [f"GET {CERT}"]


async def test_a_kept_certificate_is_fetched_again_after_14_days_and_never_used_once_expired(
    world: World,
) -> None:
    await world.verify()
    await world.verify(now=NOW + timedelta(days=15))
    assert len(world.server.received) == 2

    with pytest.raises(InvalidSignature):
        await world.verify(now=NOW + timedelta(days=31))


async def test_at_most_ten_certificates_are_kept(world: World) -> None:
    for number in range(12):
        name = f"CERT-{number}"
        world.serves[f"/v1/notifications/certs/{name}"] = Reply(200, PEM)
        await world.verify(headers=signed(RAW, LEAF, world.url(name)))
    await world.verify(headers=signed(RAW, LEAF, world.url("CERT-11")))
    assert len(world.server.received) == 12

    await world.verify(headers=signed(RAW, LEAF, world.url("CERT-0")))

    assert len(world.server.received) == 13


async def test_verifying_with_a_kept_certificate_takes_less_than_a_millisecond(
    world: World,
) -> None:
    await world.verify()
    headers = world.headers()
    started = time.process_time()
    for _ in range(200):
        await world.verify(headers=headers)

    assert (time.process_time() - started) / 200 < 0.001


async def test_the_fallback_sends_paypal_the_delivered_bytes(
    world_that_asks: World,
) -> None:
    world = world_that_asks
    world.serves[CERT] = Reply(503)
    world.serves["/v1/notifications/verify-webhook-signature"] = reply(
        {"verification_status": "SUCCESS"}
    )

    await world.verify()

    question = world.server.received[-1].body
    assert question.endswith(b', "webhook_event": ' + RAW + b"}")
    assert json.loads(question)["webhook_id"] == "an-older-id"


async def test_with_the_fallback_a_failure_is_a_forgery(world_that_asks: World) -> None:
    world = world_that_asks
    world.serves[CERT] = Reply(503)
    world.serves["/v1/notifications/verify-webhook-signature"] = reply(
        {"verification_status": "FAILURE"}
    )

    with pytest.raises(InvalidSignature):
        await world.verify()


async def test_with_the_fallback_down_too_it_cannot_be_checked(world_that_asks: World) -> None:
    world = world_that_asks
    world.serves[CERT] = Reply(503)
    world.serves["/v1/notifications/verify-webhook-signature"] = Reply(500)

    with pytest.raises(VerificationUnavailable):
        await world.verify()


@pytest.mark.parametrize("raw", [b'{}, "webhook_id": "mine"', b"{}}", b"[]", b"\xff\xfe{}", b""])
async def test_a_body_that_would_break_out_of_the_question_is_never_sent(
    world_that_asks: World, raw: bytes
) -> None:
    world = world_that_asks
    world.serves[CERT] = Reply(503)

    with pytest.raises(InvalidSignature):
        await world.verify(raw, world.headers(raw))
    assert world.server.paths() == [f"GET {CERT}"]


async def test_a_wrong_signature_is_not_sent_to_paypal(world_that_asks: World) -> None:
    with pytest.raises(InvalidSignature):
        await world_that_asks.verify(b"{}", world_that_asks.headers())

    assert world_that_asks.server.paths() == [f"GET {CERT}"]


@pytest.mark.parametrize(
    "origin", ["http://api.paypal.com", "https://api.paypal.com/", "api.paypal.com", "*", ""]
)
def test_an_unsafe_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Certificates(fast_client(), Trust(roots=()), [origin])


@pytest.mark.parametrize("webhook_ids", [[], [""]])
def test_an_empty_webhook_id_is_refused_at_the_start(webhook_ids: list[str]) -> None:
    certificates = Certificates(fast_client(), Trust(roots=()))
    with pytest.raises(ValueError, match="webhook id"):
        PayPal(
            client=fast_client(),
            client_id="id",
            client_secret="secret",
            webhook_ids=webhook_ids,
            certificates=certificates,
        )


def test_an_extra_file_adds_roots_and_intermediates(tmp_path: Path) -> None:
    extra = tmp_path / "extra.pem"
    extra.write_bytes(ROOT.pem + INTERMEDIATE.pem)

    trust = Trust.load(extra)

    assert ROOT.certificate in trust.roots
    assert trust.intermediates == (INTERMEDIATE.certificate,)
    assert set(trust.roots) == {*Trust.load().roots, ROOT.certificate}
    assert len(trust.roots) > 50


def test_an_extra_file_without_a_certificate_is_refused_at_the_start(tmp_path: Path) -> None:
    extra = tmp_path / "extra.pem"
    extra.write_text("nothing")

    with pytest.raises(ValueError, match="no certificate"):
        Trust.load(extra)


async def test_a_kept_certificate_is_not_used_after_its_own_end(world: World) -> None:
    leaf = issue(by=INTERMEDIATE, ends=NOW + timedelta(days=1))
    world.serves[CERT] = Reply(200, leaf.pem + INTERMEDIATE.pem)
    await world.verify(headers=world.headers(signer=leaf))

    with pytest.raises(InvalidSignature):
        await world.verify(headers=world.headers(signer=leaf), now=NOW + timedelta(days=2))
