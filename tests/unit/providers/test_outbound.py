"""Requests to addresses that others name, against real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from providers.outbound import client, urls
from providers.outbound.addresses import Network, may_be_called, network, read
from providers.outbound.client import Answer, Limits, Outbound, outbound
from tests.unit.providers.local import HANG_UP, SILENCE, Received, Reply, issue, serving

HERE = network("127.0.0.1")
QUICK = Limits(connect=2.0, total=0.5, rest=0.3)
TRICKS = [
    "http://hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "//hooks.example.com/",
    "/hooks",
    "https:hooks.example.com",
    "https:///hooks",
    "https://",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://@hooks.example.com/",
    "https://hooks.example.com/#fragment",
    "https://127.0.0.1#@hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://example.256/",
    "https://example.0x/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://\u24dbocalhost/",
    "https://hooks\u3002example.com/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://::1/",
    "https://[127.0.0.1]/",
    "https://[v1.x]/",
    "https://hooks..example.com/",
    "https://-hooks.example.com/",
    "https://ho%6Fks.example.com/",
    "https://hooks.example.com:25/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:80/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:443:8443/",
    "https://hooks.example.com:+443/",
    "https://hooks.example.com /",
    " https://hooks.example.com/",
    "https://hooks.example.com/\r\nHost: internal",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com/\t",
    "https://hooks.example.com/%zz",
    "https://hooks.example.com/" + "a" * 2_000,
]
FORBIDDEN = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "4000::1",
]
PUBLIC = ["8.8.8.8", "172.32.0.1", "192.0.1.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]


def allowed(text: str, *listed: Network) -> bool:
    address = read(text)
    assert address is not None
    return may_be_called(address, listed)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_url_that_parsers_might_read_in_two_ways_is_refused(trick: str) -> None:
    with pytest.raises(urls.Refused):
        urls.parse(trick)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_may_not_be_called(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert allowed(address)


def test_a_listed_network_may_be_called_and_its_neighbour_may_not() -> None:
    listed = network("10.1.0.0/16")

    assert allowed("10.1.255.1", listed)
    assert not allowed("10.2.0.1", listed)
    assert not allowed("::ffff:10.1.0.1", listed)


@pytest.mark.parametrize(
    ("text", "host", "port", "target"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/"),
        ("HTTPS://Hooks.Example.COM:8443/a%20b?c=d&e", "hooks.example.com", 8443, "/a%20b?c=d&e"),
        ("https://xn--bcher-kva.example/?x", "xn--bcher-kva.example", 443, "/?x"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/"),
        ("https://[2606:4700:0::1111]/", "2606:4700::1111", 443, "/"),
    ],
)
def test_an_ordinary_url_is_read(text: str, host: str, port: int, target: str) -> None:
    url = urls.parse(text)

    assert (url.host, url.port, url.target) == (host, port, target)


async def answer_of(
    reply: Callable[[Received], Reply], *, limits: Limits = QUICK
) -> tuple[Answer, list[Received]]:
    async with (
        serving(reply) as server,
        outbound(listed=[HERE], http=True, limits=limits) as out,
    ):
        answer = await out.post(f"{server.url}/hooks?a=b", b"{}", {"X-Test": "1"})
    return answer, server.received


async def test_an_answer_has_its_status_and_its_beginning() -> None:
    answer, [request] = await answer_of(lambda _: Reply(200, b"thanks"))

    assert (answer.status, answer.beginning, answer.reason) == (200, b"thanks", "")
    assert (request.method, request.target, request.body) == ("POST", "/hooks?a=b", b"{}")
    assert request.headers["x-test"] == "1"


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    answer, received = await answer_of(
        lambda request: Reply(307, b"", {"location": f"http://{request.headers['host']}/inside"})
    )

    assert answer.status == 307
    assert not answer.ok
    assert len(received) == 1


async def test_of_ten_megabytes_a_kilobyte_is_read() -> None:
    answer, _ = await answer_of(lambda _: Reply(200, b"x" * 10_000_000))

    assert (answer.status, len(answer.beginning), answer.reason) == (200, 1024, client.CUT)


async def test_a_compressed_answer_is_not_decompressed() -> None:
    answer, [request] = await answer_of(
        lambda _: Reply(200, b"\x1f\x8b not gzip", {"content-encoding": "gzip"})
    )

    assert (answer.status, answer.beginning) == (200, b"\x1f\x8b not gzip")
    assert request.headers["accept-encoding"] == "identity"


async def test_no_answer_in_time_is_a_failure() -> None:
    answer, _ = await answer_of(lambda _: SILENCE)

    assert (answer.status, answer.reason) == (None, client.TOO_SLOW)


async def test_a_connection_that_closes_is_a_failure_and_is_not_repeated() -> None:
    answer, received = await answer_of(lambda _: HANG_UP)

    assert (answer.status, answer.reason) == (None, client.BROKE_OFF)
    assert len(received) == 1


async def test_no_cookie_is_kept() -> None:
    async with (
        serving(lambda _: Reply(200, b"", {"set-cookie": "a=b; path=/"})) as server,
        outbound(listed=[HERE], http=True) as out,
    ):
        await out.post(server.url, b"{}", {})
        await out.post(server.url, b"{}", {})

    assert "cookie" not in server.received[1].headers


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    answer, _ = await answer_of(lambda _: Reply(200))

    assert answer.ok


@asynccontextmanager
async def dripping(head: bytes, drip: bytes) -> AsyncIterator[str]:
    """A server that sends `head`, and then `drip` again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(head)
        while not writer.is_closing():
            writer.write(drip)
            await asyncio.sleep(0.05)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        listening.close()


async def drip(head: bytes, each: bytes) -> Answer:
    async with (
        dripping(head, each) as url,
        outbound(listed=[HERE], http=True, limits=QUICK) as out,
    ):
        return await out.post(url, b"{}", {})


async def test_a_head_of_a_byte_at_a_time_ends_in_time() -> None:
    answer = await drip(b"HTTP/1.1 200 OK\r\nx-endless: ", b"a")

    assert (answer.status, answer.reason) == (None, client.TOO_SLOW)


async def test_endless_interim_answers_end_in_time() -> None:
    answer = await drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")

    assert (answer.status, answer.reason) == (None, client.TOO_SLOW)


async def test_a_body_of_a_byte_at_a_time_is_cut_in_time() -> None:
    answer = await drip(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n", b"a")

    assert (answer.status, answer.reason) == (200, client.DRIPPED)
    assert answer.beginning.strip(b"a") == b""


@pytest.mark.parametrize(
    "head",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n"],
    ids=["nonsense", "a header of 100 kB"],
)
async def test_what_is_not_http_is_a_failure(head: bytes) -> None:
    answer = await drip(head, b"")

    assert answer.status is None
    assert answer.reason == client.BROKE_OFF


def names(*answers: Sequence[str]) -> client.Lookup:
    """A resolver that gives one answer after the other, and then the last one."""
    left = list(answers)

    async def lookup(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(0)
        return left.pop(0) if len(left) > 1 else left[0]

    return lookup


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["8.8.8.8", "10.0.0.1"],
    ],
)
async def test_a_name_with_an_address_that_may_not_be_called_is_refused(
    addresses: Sequence[str],
) -> None:
    async with outbound(http=True, lookup=names(addresses), limits=QUICK) as out:
        answer = await out.post("http://hooks.example.com:8080/", b"{}", {})

    assert (answer.status, answer.reason) == (None, client.NOT_ALLOWED)


async def test_a_name_is_resolved_once_and_what_was_resolved_is_called() -> None:
    async with (
        serving(lambda _: Reply(200)) as server,
        outbound(listed=[HERE], http=True, lookup=names(["127.0.0.1"], ["169.254.169.254"])) as out,
    ):
        answer = await out.post(server.url.replace("127.0.0.1", "hooks.example.com"), b"{}", {})

    assert answer.ok
    assert server.received[0].headers["host"].startswith("hooks.example.com:")


async def test_a_name_that_points_elsewhere_later_is_checked_again() -> None:
    def close(_: Received) -> Reply:
        return Reply(200, b"", {"connection": "close"})

    async with (
        serving(close) as server,
        outbound(listed=[HERE], http=True, lookup=names(["127.0.0.1"], ["169.254.169.254"])) as out,
    ):
        url = server.url.replace("127.0.0.1", "hooks.example.com")
        first, second = await out.post(url, b"{}", {}), await out.post(url, b"{}", {})

    assert first.ok
    assert second.reason == client.NOT_ALLOWED


@pytest.mark.parametrize("host", ["localhost", "localhost."])
async def test_this_machine_by_its_name_is_refused(host: str) -> None:
    async with outbound(http=True) as out:
        answer = await out.post(f"http://{host}:8080/", b"{}", {})

    assert answer.reason in {client.NOT_ALLOWED, client.UNRESOLVED}  # not all know localhost.


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"])
async def test_an_address_in_the_url_is_refused_without_a_call(address: str) -> None:
    async with outbound() as out:
        with pytest.raises(urls.Refused, match="not one that may be called"):
            out.check(f"https://{address}/")


async def test_an_unknown_name_is_a_failure() -> None:
    async with outbound() as out:
        answer = await out.post("https://nowhere.invalid/", b"{}", {})

    assert answer.reason == client.UNRESOLVED


async def test_a_refused_connection_says_nothing_of_what_is_there() -> None:
    async with outbound(listed=[HERE], http=True) as out:
        answer = await out.post("http://127.0.0.1:1025/", b"{}", {})

    assert answer.reason == client.NOT_CONNECTED


@asynccontextmanager
async def tls(directory: Path, name: str) -> AsyncIterator[tuple[int, ssl.SSLContext, list[str]]]:
    """A server with a certificate for `name`: its port, who trusts it, and the names asked for."""
    later = datetime.now(UTC) + timedelta(days=1)
    authority = issue("CA", authority=True, may_issue=True, ends=later)
    leaf = issue(name, by=authority, alternative=name, ends=later)
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = directory / "server.pem"
    file.write_bytes(key + leaf.pem)
    sni_names: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda _object, asked_name, _context: sni_names.append(asked_name or "")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    trusted = ssl.create_default_context(cadata=authority.pem.decode())
    try:
        yield listening.sockets[0].getsockname()[1], trusted, sni_names
    finally:
        listening.close()


@pytest.mark.parametrize(
    ("host", "reason"), [("hooks.example.com", ""), ("other.example.com", client.NO_TLS)]
)
async def test_the_certificate_must_be_for_the_name_not_for_the_address(
    host: str, reason: str, tmp_path: Path
) -> None:
    async with (
        tls(tmp_path, "hooks.example.com") as (port, trusted, sni_names),
        outbound(listed=[HERE], lookup=names(["127.0.0.1"]), trusted=trusted) as out,
    ):
        answer = await out.post(f"https://{host}:{port}/", b"{}", {})

    assert answer.reason == reason
    assert sni_names == [host]


async def test_an_unknown_authority_is_not_trusted(tmp_path: Path) -> None:
    async with (
        tls(tmp_path, "hooks.example.com") as (port, _, _),
        outbound(listed=[HERE], lookup=names(["127.0.0.1"])) as out,
    ):
        answer = await out.post(f"https://hooks.example.com:{port}/", b"{}", {})

    assert answer.reason == client.NO_TLS


async def test_requests_wait_for_no_slow_neighbour() -> None:
    async with (
        serving(lambda _: SILENCE) as hanging,
        serving(lambda _: Reply(200)) as well,
        outbound(listed=[HERE], http=True) as out,
    ):
        slow = [asyncio.create_task(out.post(hanging.url, b"{}", {})) for _ in range(50)]
        answer: Answer = await _post(out, well.url)
        for task in slow:
            task.cancel()

    assert answer.ok


async def _post(out: Outbound, url: str) -> Answer:
    return await out.post(url, b"{}", {})
