"""The sample configuration of nginx from the deployment checklist, in front of the API."""

import asyncio
import contextlib
import datetime as dt
import os
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from tests.integration.conftest import Tollgate, organization
from tests.world import until

SAMPLE = Path(__file__).parent.parent.parent.parent / "docs" / "how-to" / "nginx.conf"
NAME = "sms.example.com"
NGINX = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (apt-get install nginx)"
)


def certify(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def configuration(directory: Path, api: str, port: int, read_timeout: str) -> str:
    """The sample with this machine's ports and files, inside Debian's main configuration."""
    sample = SAMPLE.read_text()
    sample = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", sample, flags=re.DOTALL)
    sample = sample.replace("    listen [::]:443 ssl;\n", "").replace(
        "listen 443", f"listen 127.0.0.1:{port}"
    )
    sample = sample.replace("127.0.0.1:8000", urlsplit(api).netloc)
    sample = sample.replace(f"/etc/letsencrypt/live/{NAME}", str(directory))
    sample = sample.replace("proxy_read_timeout 60s", f"proxy_read_timeout {read_timeout}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.getuid() == 0 else ""
    return (
        f"{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log "
        f"{directory}/error.log;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {paths}\n{sample}\n}}\n"
    )


async def listening(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


@asynccontextmanager
async def nginx(
    tollgate: Tollgate, directory: Path, read_timeout: str = "60s"
) -> AsyncIterator[Tollgate]:
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    certify(directory)
    at = directory / "nginx.conf"
    at.write_text(configuration(directory, tollgate.url, port, read_timeout))
    checked = await asyncio.create_subprocess_exec(NGINX, "-t", "-p", str(directory), "-c", str(at))
    assert await checked.wait() == 0, (directory / "error.log").read_text()
    running = await asyncio.create_subprocess_exec(NGINX, "-p", str(directory), "-c", str(at))
    trusted = ssl.create_default_context(cafile=str(directory / "fullchain.pem"))
    trusted.check_hostname = False
    try:
        async with httpx.AsyncClient(verify=trusted, timeout=30, headers={"Host": NAME}) as http:
            await until(partial(listening, port))
            yield replace(tollgate, url=f"https://127.0.0.1:{port}", http=http)
    finally:
        running.terminate()
        await running.wait()


async def test_the_api_is_served_through_the_sample(tollgate: Tollgate, tmp_path: Path) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)

    async with nginx(tollgate, tmp_path) as outside:
        live = await outside.get("/health/live", scope=None)
        webhook = await outside.deliver(raw, headers)
        refused = await outside.debit("1.00", "d1")
        draft = await outside.post(
            "/v1/organizations/acme/campaigns",
            {"name": "x", "body": "x", "recipients": []},
            key="c1",
        )
        lines = b'{"to": "+14155550100"}\n' * 100_000
        path = f"/v1/organizations/acme/campaigns/{draft.json()['id']}/recipients"
        loaded = await outside.post(
            path, content=lines, headers={"Content-Type": "application/x-ndjson"}, key="r1"
        )
        large = await outside.post("/v1/organizations", {"id": "x" * 5_000_000})
        hidden = [
            (await outside.get(path)).status_code
            for path in ("/docs", "/metrics", "/openapi.json", "/")
        ]

    assert (live.status_code, webhook.status_code, refused.status_code) == (200, 200, 423)
    assert (draft.status_code, loaded.status_code) == (201, 200), loaded.text
    assert large.status_code == 413
    assert hidden == [404, 404, 404, 404]


async def test_paths_and_queries_pass_unchanged(tollgate: Tollgate, tmp_path: Path) -> None:
    account = await tollgate.account()
    assert (
        await tollgate.post("/v1/organizations", organization("a.b-c_d", account))
    ).status_code == 201

    async with nginx(tollgate, tmp_path) as outside:
        encoded = await outside.get("/v1/organizations/a%2Eb-c_d/can-send")
        doubled = await outside.get("/v1//organizations")

    assert (encoded.status_code, doubled.status_code) == (200, 404)


async def test_an_upload_may_take_longer_than_any_other_request(
    tollgate: Tollgate, tmp_path: Path
) -> None:
    await tollgate.onboard()
    draft = await tollgate.post(
        "/v1/organizations/acme/campaigns", {"name": "x", "body": "x", "recipients": []}, key="c1"
    )
    campaign = f"/v1/organizations/acme/campaigns/{draft.json()['id']}"
    recipients = {
        "content": b'{"to": "+14155550100"}\n',
        "headers": {"Content-Type": "application/x-ndjson"},
    }

    async with nginx(tollgate, tmp_path, read_timeout="1s") as outside:
        async with tollgate.services.engine.begin() as conn:
            await conn.execute(text("SELECT FROM campaigns FOR UPDATE"))
            upload = asyncio.create_task(
                outside.post(f"{campaign}/recipients", key="r1", **recipients)
            )
            given_up = await outside.post(f"{campaign}/pause")
        loaded = await upload

    assert (given_up.status_code, loaded.status_code) == (504, 200), loaded.text
