"""A small real HTTP server, a certificate authority and PayPal-like signatures, for tests of the
adapters.
"""

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OCSP = AuthorityInformationAccessOID.OCSP
CA_ISSUERS = AuthorityInformationAccessOID.CA_ISSUERS
SIGNER = "messageverificationcerts.paypal.com"
WEBHOOK_ID = "1JE4291016473214C"


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` 0 hangs up without an answer, -1 never answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


HANG_UP = Reply(0)
SILENCE = Reply(-1)


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(
        status,
        json.dumps(value).encode(),
        {name.replace("_", "-"): text for name, text in headers.items()},
    )


class Server:
    """Responds with `answer`; `received` has the requests, in order."""

    def __init__(self, answer: Callable[[Received], Reply]) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.url = ""

    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.received]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.received.append(request)
                answer = self.answer(request)
                if answer.status == 0:
                    break
                if answer.status == -1:
                    await asyncio.sleep(30)
                writer.write(_written(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Callable[[Received], Reply]) -> AsyncIterator[Server]:
    server = Server(answer)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server._serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def closed_port() -> str:
    listening = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    return f"http://127.0.0.1:{port}"


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


def _written(answer: Reply) -> bytes:
    headers = {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} Whatever\r\n{lines}\r\n".encode() + answer.body


@dataclass(frozen=True, slots=True)
class Issued:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def issue(
    name: str = SIGNER,
    *,
    by: Issued | None = None,
    authority: bool = False,
    ends: datetime = NOW + timedelta(days=30),
    alternative: str | None = None,
    issuer_at: Sequence[str] = (),
    responder_at: Sequence[str] = (),
    key: rsa.RSAPrivateKey | None = None,
    may_issue: bool | None = None,
    constrained: bool = True,
    public_key: ec.EllipticCurvePublicKey | None = None,
) -> Issued:
    """`may_issue` is what the certificate's key usage says of issuing certificates; None leaves the usage out."""
    key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=365))
        .not_valid_after(ends)
    )
    if constrained:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=authority, path_length=None), critical=True
        )
    if alternative is not None:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(alternative)]), critical=False
        )
    if may_issue is not None:
        builder = builder.add_extension(_usage(key_cert_sign=may_issue), critical=True)
    if issuer_at or responder_at:
        places = [
            x509.AccessDescription(OCSP, x509.UniformResourceIdentifier(url))
            for url in responder_at
        ]
        places += [
            x509.AccessDescription(CA_ISSUERS, x509.UniformResourceIdentifier(url))
            for url in issuer_at
        ]
        builder = builder.add_extension(x509.AuthorityInformationAccess(places), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


def _usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def signed(
    raw: bytes, signer: Issued, url: str, *, webhook_id: str = WEBHOOK_ID, id_: str = "t-1"
) -> dict[str, str]:
    """The headers PayPal sends with `raw`."""
    time = "2026-11-23T11:59:58Z"
    text = f"{id_}|{time}|{webhook_id}|{zlib.crc32(raw)}".encode()
    return {
        "paypal-transmission-id": id_,
        "paypal-transmission-time": time,
        "paypal-transmission-sig": base64.b64encode(
            signer.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        ).decode(),
        "paypal-cert-url": url,
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-auth-version": "v2",
    }
