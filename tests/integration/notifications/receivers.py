"""What people's channels end at: a server for HTTP and one for mail, on this machine."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = "s3cret-Pa55word"


@dataclass(slots=True)
class Received:
    """`status` is what the server answers with."""

    url: str = ""
    status: int = 200
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Titles and bodies."""

    @property
    def titles(self) -> list[str]:
        return [title for title, _ in self.messages]


@contextmanager
def http_receiver() -> Iterator[Received]:
    """Its URL has a password."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            document = json.loads(self.rfile.read(length))
            if received.status < 300:
                received.messages.append((document["title"], document["message"]))
            self.send_response(received.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"json://ops:{PASSWORD}@127.0.0.1:{server.server_port}/alerts"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@contextmanager
def mail_receiver() -> Iterator[Received]:
    """It accepts mail from whoever knows the password."""
    received = Received()

    class Handler:
        async def handle_DATA(  # noqa: N802 - aiosmtpd names it
            self, _server: SMTP, _session: Session, envelope: Envelope
        ) -> str:
            message = message_from_bytes(bytes(envelope.original_content or b""))
            payload = "".join(
                bytes(part.get_payload(decode=True) or b"").decode()
                for part in message.walk()
                if not part.is_multipart()
            )
            title = str(make_header(decode_header(message["Subject"])))
            received.messages.append((title, payload))
            return "250 OK"

    def may(
        _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=good)

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(
        Handler(), hostname="127.0.0.1", port=port, authenticator=may, auth_require_tls=False
    )
    controller.start()
    try:
        received.url = f"mailto://ops:{PASSWORD}@127.0.0.1:{port}?from=tollgate@example.com&to=jo@example.com&mode=insecure"
        yield received
    finally:
        controller.stop()
