"""The meaning of a failed request, tested against real sockets, because it decides whether to send
again.
"""

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable

import httpx
import pytest

from providers.breaker import FAILURES, Breaker, Paused
from providers.http import FastClient, fast_client, in_words, never_connected, retry_after
from tests.unit.providers.local import HANG_UP, SILENCE, Received, Reply, closed_port, serving

Post = Callable[[FastClient, str], Awaitable[None]]


async def by_httpx(client: FastClient, url: str) -> None:
    await client.post(url, content=b"x=1")


async def by_post_form(client: FastClient, url: str) -> None:
    await client.post_form(url, b"x=1", {})


async def fail(
    url: str, *, read: float = 5.0, connections: int = 10, post: Post = by_httpx
) -> httpx.TransportError:
    async with fast_client(read=read, connect=30.0, connections=connections) as client:
        with pytest.raises(httpx.TransportError) as failure:
            await post(client, url)
    return failure.value


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_a_refused_connection_was_never_connected(post: Post) -> None:
    failure = await fail(await closed_port(), post=post)

    assert never_connected(failure)


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_an_unknown_host_was_never_connected(post: Post) -> None:
    failure = await fail("http://nowhere.invalid", post=post)

    assert never_connected(failure)


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_an_address_that_cannot_be_is_named_as_the_fault(post: Post) -> None:
    failure = await fail("http://127.0.0.1:99999", post=post)

    assert in_words(failure) == "its address cannot be read"


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_a_connection_closed_without_an_answer_may_have_been_processed(post: Post) -> None:
    async with serving(lambda _: HANG_UP) as server:
        failure = await fail(server.url, post=post)

        assert not never_connected(failure)
        assert len(server.received) == 1  # and the client does not repeat it


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_repeatable_call_is_made_once_more_when_its_connection_closes(
    method: str,
) -> None:
    async with serving(lambda _: HANG_UP) as server, fast_client() as client:
        with pytest.raises(httpx.ReadError):
            await client.request(method, server.url)

        assert len(server.received) == 2


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_an_answer_that_never_comes_may_have_been_processed(post: Post) -> None:
    async with serving(lambda _: SILENCE) as server:
        failure = await fail(server.url, read=0.2, post=post)

    assert isinstance(failure, httpx.ReadTimeout)
    assert not never_connected(failure)


async def raw_answer(answer: bytes, post: Post, *, reset: bool = False) -> httpx.TransportError:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x=1")
        if reset:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
        writer.write(answer)
        if not reset:
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return await fail(url, post=post)


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ],
    ids=["nonsense", "cut-in-the-body", "cut-in-the-head"],
)
async def test_a_broken_answer_may_have_been_processed(answer: bytes, post: Post) -> None:
    assert not never_connected(await raw_answer(answer, post))


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_a_reset_connection_may_have_been_processed(post: Post) -> None:
    assert not never_connected(await raw_answer(b"", post, reset=True))


@pytest.mark.parametrize("post", [by_httpx, by_post_form])
async def test_waiting_for_a_free_connection_in_vain_was_never_connected(post: Post) -> None:
    async with (
        serving(lambda _: SILENCE) as server,
        fast_client(connect=0.2, read=3.0, connections=1) as client,
    ):
        holding = asyncio.create_task(client.get(server.url))
        await asyncio.sleep(0.1)
        with pytest.raises(httpx.TransportError) as failure:
            await post(client, server.url)
        holding.cancel()

    assert never_connected(failure.value)


async def test_redirects_are_not_followed() -> None:
    def elsewhere(_: Received) -> Reply:
        return Reply(302, b"", {"location": "http://127.0.0.1:9/"})

    async with serving(elsewhere) as server, fast_client() as client:
        answer = await client.get(server.url)
        posted = await client.post_form(server.url, b"x=1", {})

    assert (answer.status_code, posted.status) == (302, 302)


async def test_a_posted_form_arrives_as_one_and_its_answer_is_unpacked() -> None:
    def packed(_: Received) -> Reply:
        return Reply(201, gzip.compress(b"{}"), {"content-encoding": "gzip", "Retry-After": "3"})

    async with serving(packed) as server, fast_client() as client:
        answer = await client.post_form(server.url, b"x=1", {"authorization": "Basic eA=="})

    [received] = server.received
    assert (received.method, received.body) == ("POST", b"x=1")
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert received.headers["authorization"] == "Basic eA=="
    assert (answer.status, answer.content, answer.is_success) == (201, b"{}", True)
    assert retry_after(answer.headers) == 3.0


async def test_posted_forms_stop_while_the_server_does_not_answer() -> None:
    async with fast_client(breaker=Breaker()) as client:
        nobody = await closed_port()
        for _ in range(FAILURES):
            with pytest.raises(httpx.ConnectError):
                await client.post_form(nobody, b"", {})
        with pytest.raises(Paused):
            await client.post_form(nobody, b"", {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("9999999", 3600.0),
        ("9" * 400, 3600.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_nothing(text: str, seconds: float | None) -> None:
    assert retry_after(httpx.Headers([(b"retry-after", text.encode())])) == seconds


def test_retry_after_in_the_past_means_now() -> None:
    assert retry_after(httpx.Headers({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0.0


def test_retry_after_at_a_far_date_means_an_hour() -> None:
    assert retry_after(httpx.Headers({"retry-after": "Wed, 21 Oct 2992 07:28:00 GMT"})) == 3600.0
