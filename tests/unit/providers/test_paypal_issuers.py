"""A signing certificate that is served as a leaf alone: its issuer is fetched, and trusted only
under a root.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from providers.errors import InvalidSignature, VerificationUnavailable
from providers.http import fast_client
from providers.paypal import Certificates, PayPal, Trust
from providers.paypal.budget import Budget
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

RAW = b'{"id": "WH-1", "create_time": "2026-11-23T11:59:58Z"}'
ROOT = issue("Root", authority=True)
INTERMEDIATE = issue("Intermediate", authority=True, by=ROOT)
CERT, ISSUER = "/v1/notifications/certs/CERT-1", "/issuing.crt"
VERIFY = "/v1/notifications/verify-webhook-signature"


@dataclass
class World:
    server: Server
    paypal: PayPal
    serves: dict[str, Reply] = field(default_factory=dict)

    def leaf(
        self, *issuer_at: str, by: Issued = INTERMEDIATE, ends: timedelta = timedelta(days=30)
    ) -> Issued:
        """From now on, the certificate URL serves this leaf alone."""
        leaf = issue(by=by, issuer_at=issuer_at or (f"{self.server.url}{ISSUER}",), ends=NOW + ends)
        self.serves[CERT] = Reply(200, leaf.pem)
        return leaf

    async def verify(self, leaf: Issued, *, now: datetime = NOW, name: str = "CERT-1") -> None:
        url = f"{self.server.url}/v1/notifications/certs/{name}"
        await self.paypal.verify_webhook(RAW, signed(RAW, leaf, url), now=now)

    def times(self, path: str) -> int:
        return sum(request.path == path for request in self.server.received)


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
        ISSUER: Reply(200, INTERMEDIATE.der),
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
            webhook_ids=[WEBHOOK_ID],
            certificates=Certificates(client, Trust(roots=(ROOT.certificate,)), [server.url]),
            online_fallback=online_fallback,
        )
        yield World(server, paypal, serves)


async def test_a_leaf_alone_is_verified_by_the_issuer_that_it_names_without_a_call_to_paypal(
    world_that_asks: World,
) -> None:
    world = world_that_asks
    leaf = world.leaf()

    await asyncio.gather(*(world.verify(leaf) for _ in range(20)))

    assert world.server.paths() == [f"GET {CERT}", f"GET {ISSUER}"]


@pytest.mark.parametrize(
    "file",
    [
        INTERMEDIATE.der,
        INTERMEDIATE.pem,
        pkcs7.serialize_certificates([INTERMEDIATE.certificate], Encoding.DER),
        pkcs7.serialize_certificates([ROOT.certificate, INTERMEDIATE.certificate], Encoding.PEM),
    ],
    ids=["der", "pem", "p7c", "p7c-pem"],
)
async def test_an_issuer_is_read_in_every_form_that_authorities_serve(
    world: World, file: bytes
) -> None:
    world.serves[ISSUER] = Reply(200, file)

    await world.verify(world.leaf())


async def test_a_chain_of_several_issuers_is_followed(world: World) -> None:
    upper = issue("Upper", authority=True, by=ROOT)
    lower = issue("Lower", authority=True, by=upper, issuer_at=[f"{world.server.url}/upper.crt"])
    world.serves |= {ISSUER: Reply(200, lower.der), "/upper.crt": Reply(200, upper.der)}

    await world.verify(world.leaf(by=lower))


async def test_an_endless_chain_of_issuers_is_given_up(world: World) -> None:
    upper, path = issue("Upper 0", authority=True), ISSUER
    for number in range(6):
        following = f"/{number}.crt"
        lower = issue(
            f"Upper {number + 1}",
            authority=True,
            by=upper,
            issuer_at=[f"{world.server.url}{following}"],
        )
        upper, path = lower, following
    world.serves |= {f"/{number}.crt": Reply(200, upper.der) for number in range(6)}
    world.serves[ISSUER] = Reply(200, upper.der)

    with pytest.raises(InvalidSignature):
        await world.verify(world.leaf(by=upper))
    assert path == "/5.crt"
    assert len(world.server.received) <= 4


async def test_a_further_leaf_of_a_known_issuer_needs_no_fetch(world: World) -> None:
    await world.verify(world.leaf())
    world.serves[ISSUER] = Reply(503)
    rotated = issue(by=INTERMEDIATE, issuer_at=[f"{world.server.url}{ISSUER}"])
    world.serves["/v1/notifications/certs/CERT-2"] = Reply(200, rotated.pem)

    await world.verify(rotated, name="CERT-2")

    assert world.times(ISSUER) == 1


@pytest.mark.parametrize(
    ("days", "key"),
    [(1, None), (10, INTERMEDIATE.key)],
    ids=["by-another-key", "when-the-old-one-is-over"],
)
async def test_an_issuer_that_was_renewed_by_the_same_name_is_fetched(
    world: World, days: int, key: RSAPrivateKey | None
) -> None:
    old = issue("Intermediate", authority=True, by=ROOT, ends=NOW + timedelta(days=5), key=key)
    world.serves[ISSUER] = Reply(200, old.der)
    await world.verify(world.leaf(by=old))
    world.serves[ISSUER] = Reply(200, INTERMEDIATE.der)
    leaf = issue(by=INTERMEDIATE, issuer_at=[f"{world.server.url}{ISSUER}"])
    world.serves["/v1/notifications/certs/CERT-2"] = Reply(200, leaf.pem)

    await world.verify(leaf, name="CERT-2", now=NOW + timedelta(days=days))

    assert world.times(ISSUER) == 2


async def test_a_fetched_certificate_is_not_trusted_by_itself(world: World) -> None:
    """An attacker who controls the plain http response may send their own root."""
    stranger = issue("Stranger", authority=True)
    world.serves[ISSUER] = Reply(200, stranger.der)

    with pytest.raises(InvalidSignature):
        await world.verify(world.leaf(by=stranger))


@pytest.mark.parametrize(
    "place",
    [
        "http://evil.test/issuing.crt",
        "http://cacerts.digicert.com.evil.test/issuing.crt",
        "http://cacerts.digicert.com@127.0.0.1/issuing.crt",
        "http://cacerts.digicert.com:8080/issuing.crt",
        "ftp://cacerts.digicert.com/issuing.crt",
        "file:///etc/passwd",
        "http://[",
    ],
)
async def test_an_issuer_at_a_foreign_host_is_not_fetched(world: World, place: str) -> None:
    with pytest.raises(InvalidSignature):
        await world.verify(world.leaf(place))
    assert world.server.paths() == [f"GET {CERT}"]


async def test_no_issuer_is_fetched_for_a_leaf_whose_key_is_of_another_kind(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    forged = issue(by=INTERMEDIATE, issuer_at=[f"{world.server.url}{ISSUER}"], public_key=key)
    world.serves[CERT] = Reply(200, forged.pem)

    with pytest.raises(InvalidSignature):
        await world.verify(forged)
    assert world.times(ISSUER) == 0


async def test_the_issuer_is_not_fetched_from_the_revocation_server(world: World) -> None:
    url = world.server.url
    leaf = issue(by=INTERMEDIATE, responder_at=[f"{url}/revoked"], issuer_at=[f"{url}{ISSUER}"])
    world.serves |= {CERT: Reply(200, leaf.pem), "/revoked": Reply(200, INTERMEDIATE.der)}

    await world.verify(leaf)

    assert world.server.paths() == [f"GET {CERT}", f"GET {ISSUER}"]


@pytest.mark.parametrize(
    "leaf",
    [
        ("api.paypal.com", timedelta(days=30)),
        ("messageverificationcerts.paypal.com", timedelta(days=-1)),
    ],
    ids=["another-name", "expired"],
)
async def test_no_issuer_is_fetched_for_a_leaf_that_is_not_paypals(
    world: World, leaf: tuple[str, timedelta]
) -> None:
    name, ends = leaf
    forged = issue(
        name, by=INTERMEDIATE, issuer_at=[f"{world.server.url}{ISSUER}"], ends=NOW + ends
    )
    world.serves[CERT] = Reply(200, forged.pem)

    with pytest.raises(InvalidSignature):
        await world.verify(forged)
    assert world.times(ISSUER) == 0


@pytest.mark.parametrize(
    "answer",
    [
        Reply(503),
        Reply(404),
        HANG_UP,
        Reply(200, b"<html>"),
        Reply(200, b"\n" * 70_000),
        Reply(302, b"", {"location": "/x"}),
    ],
    ids=["503", "404", "hang-up", "unreadable", "too-large", "redirect"],
)
async def test_an_unavailable_issuer_is_no_forgery_and_is_fetched_again_later(
    world: World, answer: Reply
) -> None:
    leaf = world.leaf()
    world.serves[ISSUER] = answer
    for _ in range(3):
        with pytest.raises(VerificationUnavailable):
            await world.verify(leaf)
    requests_while_away = world.times(ISSUER)
    world.serves[ISSUER] = Reply(200, INTERMEDIATE.der)

    await world.verify(leaf, now=NOW + timedelta(seconds=31))

    assert requests_while_away <= 2  # aiohttp repeats a GET whose connection closed


@pytest.mark.parametrize("away", [CERT, "everything"])
async def test_a_trusted_certificate_is_used_while_it_is_valid_even_if_it_cannot_be_fetched_again(
    world: World, away: str
) -> None:
    leaf = world.leaf(ends=timedelta(days=20))
    await world.verify(leaf)
    for path in [CERT] if away == CERT else list(world.serves):
        world.serves[path] = Reply(503)
    for seconds in range(5):
        await world.verify(leaf, now=NOW + timedelta(days=15, seconds=seconds))
    later_requests = world.times(CERT) - 1
    with pytest.raises(VerificationUnavailable):
        await world.verify(leaf, now=NOW + timedelta(days=21))

    assert later_requests == 1


async def test_made_up_certificate_ids_are_not_all_looked_up_and_hold_up_no_known_one(
    world_that_asks: World,
) -> None:
    world = world_that_asks
    leaf = world.leaf()
    await world.verify(leaf)
    refused, limited = 0, 0
    for number in range(60):
        try:
            await world.verify(leaf, name=f"FORGED-{number}")
        except InvalidSignature:
            refused += 1
        except VerificationUnavailable:
            limited += 1
    await world.verify(leaf)

    assert refused + limited == 60
    assert limited >= 20
    assert world.times(VERIFY) == 0


async def test_paypal_verifies_some_signatures_and_further_deliveries_are_asked_to_retry(
    world_that_asks: World,
) -> None:
    world = world_that_asks
    leaf = world.leaf()
    world.serves |= {ISSUER: Reply(503), VERIFY: reply({"verification_status": "FAILURE"})}
    refused, limited = 0, 0
    for _ in range(60):
        try:
            await world.verify(leaf)
        except InvalidSignature:
            refused += 1
        except VerificationUnavailable:
            limited += 1

    assert (refused, refused + limited) == (world.times(VERIFY), 60)
    assert limited >= 20


def test_a_budget_is_full_again_after_a_while() -> None:
    now = [0.0]
    budget = Budget(at_once=3, each_second=0.5, clock=lambda: now[0])
    first = [budget.take() for _ in range(5)]
    now[0] = 2.0
    later = [budget.take() for _ in range(2)]
    now[0] = 100.0

    assert first == [True, True, True, False, False]
    assert later == [True, False]
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
