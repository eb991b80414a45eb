"""nginx with the sample configuration of the deployment checklist, in front of processes of the
API.
"""

import asyncio
import contextlib
import datetime as dt
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devservers.ports import free_ports
from tests.world import until

SAMPLE = Path(__file__).parent.parent / "docs" / "how-to" / "nginx.conf"
NAME = "sms.example.com"
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
NGINX = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ.get('PATH')}:/usr/sbin")

needs_nginx = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (apt-get install nginx)"
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """`plain_url` is without TLS, for what the sample has no address: the simulators' callbacks."""

    url: str
    plain_url: str
    trusted: ssl.SSLContext


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


def configuration(
    directory: Path, upstreams: Sequence[str], ports: Sequence[int], changes: Mapping[str, str]
) -> str:
    """The sample with this machine's ports and files, and with `changes` of its words, inside
    Debian's main configuration.
    """
    sample = SAMPLE.read_text()
    sample = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", sample, flags=re.DOTALL)
    secure, plain = ports
    sample = sample.replace("    listen [::]:443 ssl;\n", "").replace(
        "listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl; listen 127.0.0.1:{plain};"
    )
    line = next(line for line in sample.splitlines() if "127.0.0.1:8000" in line)
    servers = [line.replace("127.0.0.1:8000", upstream) for upstream in upstreams]
    sample = sample.replace(line, "\n".join(servers))
    sample = sample.replace(f"/etc/letsencrypt/live/{NAME}", str(directory))
    for before, after in changes.items():
        sample = sample.replace(before, after)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.getuid() == 0 else ""
    return (
        f"{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log "
        f"{directory}/error.log;\n"
        f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {paths}\n{sample}\n}}\n"
    )


@asynccontextmanager
async def nginx(
    directory: Path, upstreams: Sequence[str], changes: Mapping[str, str] = NO_CHANGES
) -> AsyncIterator[Proxy]:
    assert NGINX is not None
    secure, plain = free_ports(2)
    certify(directory)
    at = directory / "nginx.conf"
    at.write_text(configuration(directory, upstreams, (secure, plain), changes))
    checked = await asyncio.create_subprocess_exec(NGINX, "-t", "-p", str(directory), "-c", str(at))
    assert await checked.wait() == 0, (directory / "error.log").read_text()
    running = await asyncio.create_subprocess_exec(NGINX, "-p", str(directory), "-c", str(at))
    trusted = ssl.create_default_context(cafile=str(directory / "fullchain.pem"))
    trusted.check_hostname = False
    try:
        await until(partial(_listening, secure), "nginx listens")
        yield Proxy(f"https://127.0.0.1:{secure}", f"http://127.0.0.1:{plain}", trusted)
    finally:
        running.terminate()
        await running.wait()


async def _listening(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
