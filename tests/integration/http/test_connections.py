"""The limits of a connection before it is authenticated."""

import asyncio
import json
from asyncio import gather
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, event

from api.http import connections
from tests.integration.conftest import Tollgate

LIMIT = 60.0
"""Seconds after which a missing response or disconnect fails a test."""


@asynccontextmanager
async def connected(
    tollgate: Tollgate,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    at = urlsplit(tollgate.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(tollgate: Tollgate, parts: Iterable[bytes]) -> bytes:
    """The complete response until the server closes the connection, which may happen before all
    parts are sent.
    """
    async with connected(tollgate) as (reader, writer), asyncio.timeout(LIMIT):
        received = bytearray()
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            while some := await reader.read(65536):
                received += some
        except ConnectionError:
            received += bytes(reader._buffer)  # type: ignore[attr-defined]
        return bytes(received)


LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


async def asking(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Let a request be answered, and begin another."""
    reader, writer = connection
    writer.write(LIVE + b"GET /health")
    await reader.readuntil(b"}")


def kind(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:300]
    document = json.loads(body)
    assert f"x-request-id: {document['request_id']}\r\n".encode() in head.lower() + b"\r\n"
    return str(document["code"])


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


MANY = 20_000
HEADS = {
    "one header": [b"GET /health/live HTTP/1.1\r\nX: ", *[b"x" * 1024] * MANY],
    "a header's name": [b"GET /health/live HTTP/1.1\r\n", *[b"x" * 1024] * MANY],
    "headers": [b"GET /health/live HTTP/1.1\r\n", *[b"A: " + b"x" * 1000 + b"\r\n"] * MANY],
    "small headers": [b"GET /health/live HTTP/1.1\r\n", *[b"a:b\r\n" * 1000] * MANY],
    "the path": [b"GET /", *[b"x" * 1024] * MANY],
    "the method": [b"G" * 1024] * MANY,
}


@pytest.mark.parametrize("what", HEADS)
async def test_a_head_without_an_end_is_refused_after_its_limit(
    tollgate: Tollgate, what: str
) -> None:
    taken = 0

    def parts() -> Iterable[bytes]:
        nonlocal taken
        for part in HEADS[what]:
            taken += len(part)
            yield part

    answer = await answered(tollgate, parts())

    assert taken < MANY * 500  # it was closed before everything was sent
    if answer:
        assert status(answer) in (400, 431)
    assert (await tollgate.get("/health/live", scope=None)).status_code == 200


async def test_a_head_over_the_limit_is_431_and_below_it_served(tollgate: Tollgate) -> None:
    def head(size: int) -> bytes:
        return (
            b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: "
            + b"x" * size
            + b"\r\n\r\n"
        )

    assert status(await answered(tollgate, [head(connections.HEAD_BYTES - 200)])) == 200
    over = await answered(tollgate, [head(connections.HEAD_BYTES)])
    assert (status(over), kind(over)) == (431, "head_too_large")


CHUNKED = b"POST /webhooks/twilio/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "rest", [b"1;ext=" + b"x" * 1024, b"0\r\nTrailer: " + b"x" * 1024], ids=["extension", "trailer"]
)
async def test_what_stands_around_a_chunk_is_bounded_too(tollgate: Tollgate, rest: bytes) -> None:
    answer = await answered(tollgate, [CHUNKED, rest, *[b"x" * 1024] * MANY])

    assert not answer or status(answer) in (400, 431)


async def test_a_trailer_is_no_header(tollgate: Tollgate) -> None:
    end = b"0\r\nX-Request-Id: from-the-trailer\r\n\r\n"
    request = CHUNKED.replace(b"Host: x", b"Host: x\r\nConnection: close")

    answer = await answered(tollgate, [request + b"3\r\na=b\r\n" + end])

    assert (status(answer), kind(answer)) == (400, "not_a_status_callback")
    assert b"from-the-trailer" not in answer


SLOW = {
    "nothing": [],
    "half a line": [b"GET /hea"],
    "half the headers": [b"GET /health/live HTTP/1.1\r\nHost: x\r\n"],
    "half a body": [
        b"POST /webhooks/twilio/status HTTP/1.1\r\nContent-Length: 1000\r\n\r\nAccountSid=AC"
    ],
    "half a chunk": [CHUNKED, b"100\r\nAccount"],
    "half a second request": [b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /hea"],
    "no second request": [b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"],
}


@pytest.mark.parametrize("what", SLOW)
async def test_a_silent_connection_is_closed(
    tollgate: Tollgate, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)

    answer = await answered(tollgate, SLOW[what])

    if what.startswith("half a") or what == "half the headers":
        problem = answer[answer.rindex(b"HTTP/1.1 ") :]
        assert (status(problem), kind(problem)) == (408, "request_timeout")


async def test_line_ends_between_requests_hold_no_connection(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)

    async with connected(tollgate) as (reader, writer), asyncio.timeout(LIMIT):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        await reader.read()


async def test_a_body_that_trickles_is_cut_and_one_that_flows_is_not(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    head = b"POST /webhooks/twilio/status HTTP/1.1\r\nConnection: close\r\nContent-Length: 16000\r\n\r\n"

    async with connected(tollgate) as (reader, writer), asyncio.timeout(LIMIT):
        writer.write(head)
        while not reader.at_eof() and not reader._buffer:  # type: ignore[attr-defined]
            writer.write(b"x")
            await asyncio.sleep(0.02)
        trickled = await reader.read()
    monkeypatch.setattr(connections, "BODY_BYTES", 1)
    async with connected(tollgate) as (reader, writer), asyncio.timeout(LIMIT):
        writer.write(head)
        for _ in range(160):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.005)
        flowed = await reader.read()

    assert (status(trickled), status(flowed)) == (408, 400)


async def test_connections_beyond_the_limit_are_asked_to_retry(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 3)

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await asking(await stack.enter_async_context(connected(tollgate)))
        beyond = await answered(tollgate, [])

    assert (status(beyond), kind(beyond)) == (503, "overloaded")
    assert b"retry-after" in beyond.lower()


async def test_the_connection_that_was_silent_longest_gives_way_to_one_beyond_the_limit(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 3)

    async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
        silent, *others = [await stack.enter_async_context(connected(tollgate)) for _ in range(3)]
        for other in others:
            await asking(other)
        new = await stack.enter_async_context(connected(tollgate))
        new[1].write(LIVE)

        assert (await new[0].readline()).startswith(b"HTTP/1.1 200")
        assert await silent[0].read() == b""


async def test_requests_ahead_of_their_answers_are_bounded(tollgate: Tollgate) -> None:
    await answered(tollgate, [b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000])

    assert (await tollgate.get("/health/live", scope=None)).status_code == 200


async def test_invalid_http_is_answered_with_a_problem(tollgate: Tollgate) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"hello\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http:/// HTTP/1.1\r\n\r\n",
    ):
        answer = await answered(tollgate, [raw])
        assert (status(answer), kind(answer)) == (400, "malformed_request"), raw


async def test_no_body_is_read_before_its_key_is_checked(tollgate: Tollgate) -> None:
    head = "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
    for path in (
        "/v1/organizations",
        "/v1/organizations/acme/wallet/debits",
        "/v1/organizations/acme/campaigns",
    ):
        answer = await answered(tollgate, [head.format(path).encode()])  # no byte of its body
        assert (status(answer), kind(answer)) == (401, "api_key_missing"), path


TOGETHER = 2
"""One for all look-ups, and one of the watch over the database, which works beside requests."""


class Used:
    """The largest number of the API's database connections in use at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def out(self, *_: object) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def back(self, *_: object) -> None:
        self.now -= 1


@contextmanager
def watched(tollgate: Tollgate) -> Iterator[Used]:
    used, engine = Used(), tollgate.services.engine.sync_engine
    event.listen(engine, "checkout", used.out)
    event.listen(engine, "checkin", used.back)
    try:
        yield used
    finally:
        event.remove(engine, "checkout", used.out)
        event.remove(engine, "checkin", used.back)


async def test_made_up_keys_take_one_connection_together(tollgate: Tollgate) -> None:
    invented = [{"Authorization": f"Bearer tg_{n}"} for n in range(200)]

    with watched(tollgate) as used:
        answers = await gather(
            *(
                tollgate.get("/v1/organizations", scope=None, headers=headers)
                for headers in invented
            )
        )
        genuine = await tollgate.get("/v1/organizations")

    assert {answer.status_code for answer in answers} == {401}
    assert genuine.status_code == 200
    assert used.most <= TOGETHER


async def test_callbacks_for_made_up_accounts_take_one_connection_together(
    tollgate: Tollgate,
) -> None:
    forms = [
        {"AccountSid": f"AC{n:032x}", "MessageSid": "SM1", "MessageStatus": "sent"}
        for n in range(200)
    ]

    with watched(tollgate) as used:
        url = f"{tollgate.url}/webhooks/twilio/status"
        answers = await gather(*(tollgate.http.post(url, data=form) for form in forms))

    assert {answer.status_code for answer in answers} == {403}
    assert used.most <= TOGETHER


async def test_however_many_ask_whether_it_is_ready_one_looks(tollgate: Tollgate) -> None:
    looked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "alembic_version" in statement:
            looked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        answers = await gather(*(tollgate.get("/health/ready", scope=None) for _ in range(200)))
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= len(looked) < 20


async def test_it_is_ready_while_the_work_has_all_connections(tollgate: Tollgate) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(tollgate.services.settings.db_pool_size):
            await stack.enter_async_context(tollgate.services.engine.connect())
        answer = await tollgate.get("/health/ready", scope=None)

    assert (answer.status_code, answer.json()["database"]["ok"]) == (200, True)


async def test_a_status_callback_is_short(tollgate: Tollgate) -> None:
    answer = await tollgate.http.post(
        f"{tollgate.url}/webhooks/twilio/status", content=b"a=" + b"x" * 20_000
    )

    assert answer.status_code == 413
