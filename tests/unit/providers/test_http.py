"""The meaning of a failed request, tested against real sockets, because it decides whether to send
again.
"""

import asyncio
import socket

import httpx
import pytest

from providers.http import fast_client, in_words, never_connected, retry_after
from tests.unit.providers.local import HANG_UP, SILENCE, Received, Reply, closed_port, serving


async def fail(url: str, *, read: float = 5.0, connections: int = 10) -> httpx.TransportError:
    async with fast_client(read=read, connect=30.0, connections=connections) as client:
        with pytest.raises(httpx.TransportError) as failure:
            await client.post(url, content=b"x=1")
    return failure.value


async def test_a_refused_connection_was_never_connected() -> None:
    failure = await fail(await closed_port())

    assert never_connected(failure)


async def test_an_unknown_host_was_never_connected() -> None:
    failure = await fail("http://nowhere.invalid")

    assert never_connected(failure)


async def test_an_address_that_cannot_be_is_named_as_the_fault() -> None:
    failure = await fail("http://127.0.0.1:99999")

    assert in_words(failure) == "its address cannot be read"


async def test_a_connection_closed_without_an_answer_may_have_been_processed() -> None:
    async with serving(lambda _: HANG_UP) as server:
        failure = await fail(server.url)

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


async def test_an_answer_that_never_comes_may_have_been_processed() -> None:
    async with serving(lambda _: SILENCE) as server:
        failure = await fail(server.url, read=0.2)

    assert isinstance(failure, httpx.ReadTimeout)
    assert not never_connected(failure)


async def raw_answer(answer: bytes, *, reset: bool = False) -> httpx.TransportError:
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
        return await fail(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ],
    ids=["nonsense", "cut-in-the-body", "cut-in-the-head"],
)
async def test_a_broken_answer_may_have_been_processed(answer: bytes) -> None:
    assert not never_connected(await raw_answer(answer))


async def test_a_reset_connection_may_have_been_processed() -> None:
    assert not never_connected(await raw_answer(b"", reset=True))


async def test_waiting_for_a_free_connection_in_vain_was_never_connected() -> None:
    async with (
        serving(lambda _: SILENCE) as server,
        fast_client(connect=0.2, read=3.0, connections=1) as client,
    ):
        holding = asyncio.create_task(client.get(server.url))
        await asyncio.sleep(0.1)
        with pytest.raises(httpx.TransportError) as failure:
            await client.get(server.url)
        holding.cancel()

    assert never_connected(failure.value)


async def test_redirects_are_not_followed() -> None:
    def elsewhere(_: Received) -> Reply:
        return Reply(302, b"", {"location": "http://127.0.0.1:9/"})

    async with serving(elsewhere) as server, fast_client() as client:
        answer = await client.get(server.url)

    assert answer.status_code == 302


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
