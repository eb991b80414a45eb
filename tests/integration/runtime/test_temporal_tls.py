"""Connections to Temporal by TLS, with a client's certificate or an API key, set as an operator
does.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from temporalio.client import Client

from runtime import client
from runtime.server_wait import ServerAway
from runtime.settings import BadSettings
from runtime.temporal_address import temporal_connection
from tests import temporal_proxy

NAME = "acme.a1b2c.tmprl.example"
NONE = timedelta(0)


class Certificates:
    """An authority, and what it issued, as PEM files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._write("ca", self._key, self._certificate(self._name, self._key, is_ca=True))

    def issue(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._write(name, key, self._certificate(subject, key, is_ca=False))

    def path(self, name: str, kind: str = "pem") -> str:
        return str(self._directory / f"{name}.{kind}")

    def read(self, name: str, kind: str = "pem") -> bytes:
        return Path(self.path(name, kind)).read_bytes()

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        Path(self.path(name)).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        Path(self.path(name, "key")).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path)
    made.issue("server")
    made.issue("client")
    return made


def credentials(certificates: Certificates, *, mutual: bool) -> grpc.ServerCredentials:
    pairs = [(certificates.read("server", "key"), certificates.read("server"))]
    return grpc.ssl_server_credentials(
        pairs, certificates.read("ca") if mutual else None, require_client_auth=mutual
    )


async def connect() -> Client:
    connection = temporal_connection()
    assert connection is not None
    return await client.connect(connection, patience=NONE)


async def test_mutual_tls_needs_the_client_s_certificate_and_the_server_s_name(
    temporal_client: Client, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = temporal_client.service_client.config.target_host
    secured = credentials(certificates, mutual=True)
    async with temporal_proxy.serve(address, credentials=secured) as proxy:
        monkeypatch.setenv("TEMPORAL_ADDRESS", proxy.address)
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", certificates.path("ca"))
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_NAME", NAME)
        with pytest.raises(ServerAway):
            await connect()

        monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", certificates.path("client"))
        monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", certificates.path("client", "key"))
        await (await connect()).count_workflows("WorkflowType = '-'")

        monkeypatch.setenv("TEMPORAL_TLS_SERVER_NAME", "another.example")
        with pytest.raises(ServerAway):
            await connect()


async def test_an_api_key_is_sent_by_tls_and_a_wrong_one_is_a_wrong_setting(
    temporal_client: Client, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = temporal_client.service_client.config.target_host
    secured = credentials(certificates, mutual=False)
    async with temporal_proxy.serve(address, credentials=secured) as proxy:
        proxy.api_key = "genuine"
        monkeypatch.setenv("TEMPORAL_ADDRESS", proxy.address)
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", certificates.path("ca"))
        monkeypatch.setenv("TEMPORAL_TLS_SERVER_NAME", NAME)
        monkeypatch.setenv("TEMPORAL_API_KEY", "genuine")
        await (await connect()).count_workflows("WorkflowType = '-'")

        monkeypatch.setenv("TEMPORAL_API_KEY", "expired")
        with pytest.raises(BadSettings, match=r"^TEMPORAL_API_KEY: Temporal does not accept it"):
            await connect()


def test_an_api_key_alone_turns_tls_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "us-east-1.aws.api.temporal.io:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", "key")

    connection = temporal_connection()

    assert connection is not None
    assert connection["tls"]


@pytest.mark.parametrize("wrong", ["key with spaces", "'quoted'", "key\n"])
def test_an_api_key_that_no_header_can_carry_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "us-east-1.aws.api.temporal.io:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", wrong)

    with pytest.raises(BadSettings, match=r"^TEMPORAL_API_KEY: ") as refused:
        temporal_connection()

    assert wrong not in str(refused.value)


def test_an_api_key_without_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "us-east-1.aws.api.temporal.io:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", "key")
    monkeypatch.setenv("TEMPORAL_TLS", "false")

    with pytest.raises(BadSettings, match="TEMPORAL_TLS"):
        temporal_connection()


@pytest.mark.parametrize("half", ["CLIENT_CERT", "CLIENT_KEY"])
def test_a_certificate_without_its_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal:7233")
    monkeypatch.setenv(f"TEMPORAL_TLS_{half}_DATA", "pem")

    with pytest.raises(BadSettings, match=r"TEMPORAL_TLS_CLIENT_CERT_.* TEMPORAL_TLS_CLIENT_KEY_"):
        temporal_connection()
