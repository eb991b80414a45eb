"""The keys that sign webhooks: a root and an issuing authority, created at the start, and the
certificates that they issue.

As at PayPal (recorded from two of its hosts), a certificate's URL serves the leaf alone. The leaf's
authority information access names its issuer, served over plain http and in DER, as DigiCert's are
(`http://cacerts.digicert.com/….crt`).
"""

import zlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

SIGNER_NAME = "messageverificationcerts.paypal.com"
ISSUERS = "/issuers/"
"""The path under which a simulator serves the issuers of its certificates."""


class Kind(StrEnum):
    """`GOOD` is what PayPal would present; the others must be rejected."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    OTHER_CA = "other_ca"


@dataclass(frozen=True)
class Leaf:
    id: str
    key: RSAPrivateKey
    pem: bytes
    """The certificate alone."""

    def sign(
        self, transmission_id: str, transmission_time: str, webhook_id: str, body: bytes
    ) -> str:
        text = signed_text(transmission_id, transmission_time, webhook_id, body)
        return b64encode(self.key.sign(text, PKCS1v15(), hashes.SHA256())).decode()

    def verifies(self, signature: bytes, text: bytes) -> bool:
        try:
            self.key.public_key().verify(signature, text, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class _Signing:
    """A certificate authority: a name and its key."""

    name: x509.Name
    key: RSAPrivateKey


def signed_text(
    transmission_id: str, transmission_time: str, webhook_id: str, body: bytes
) -> bytes:
    """Only the body's CRC-32 is signed, as a decimal number, as at PayPal."""
    return f"{transmission_id}|{transmission_time}|{webhook_id}|{zlib.crc32(body)}".encode()


class Authority:
    """Issues a certificate of each kind for each address, at the first use: generating a key takes
    a tenth of a second.
    """

    def __init__(self, name: str = "Simulated PayPal webhook CA") -> None:
        self._root = _Signing(_common_name(f"{name} root"), _new_key())
        self._issuing = _Signing(_common_name(name), _new_key())
        self._keys: dict[Kind, RSAPrivateKey] = {}
        self._leaves: dict[tuple[Kind, str], Leaf] = {}
        self._foreign: Authority | None = None

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The root certificate, for a verifier's trust store."""
        return _authority(self._root, self._root, path_length=1)

    @cached_property
    def intermediate(self) -> x509.Certificate:
        return _authority(self._issuing, self._root, path_length=0)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issuer(self, name: str) -> bytes | None:
        """The DER that is served at `ISSUERS` + `name`."""
        foreign = {"foreign.crt": self._foreign.intermediate} if self._foreign is not None else {}
        found = {"issuing.crt": self.intermediate, **foreign}.get(name)
        return None if found is None else found.public_bytes(Encoding.DER)

    def leaf(self, kind: Kind = Kind.GOOD, address: str = "") -> Leaf:
        """`address` is the simulator's, where the issuer is found."""
        if (kind, address) not in self._leaves:
            self._leaves[kind, address] = self._issue(kind, address)
        return self._leaves[kind, address]

    def find(self, certificate_id: str) -> Leaf | None:
        return next((leaf for leaf in self._leaves.values() if leaf.id == certificate_id), None)

    def _issue(self, kind: Kind, address: str) -> Leaf:
        if kind is Kind.OTHER_CA:
            self._foreign = self._foreign or Authority("An untrusted CA")
            return self._foreign.certify("foreign", kind, f"{address}{ISSUERS}foreign.crt")
        return self.certify(kind.value, kind, f"{address}{ISSUERS}issuing.crt")

    def certify(self, label: str, kind: Kind, issuer_url: str) -> Leaf:
        """A certificate that names the URL as the address of its issuer."""
        if kind not in self._keys:
            self._keys[kind] = _new_key()
        key = self._keys[kind]
        name = "messageverificationcerts.example.com" if kind is Kind.WRONG_NAME else SIGNER_NAME
        now = datetime.now(UTC)
        ends = now - timedelta(days=1) if kind is Kind.EXPIRED else now + timedelta(days=365)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PayPal, Inc."),
            ]
        )
        found_at = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._issuing.key.public_key()
        )
        certificate = (
            _builder(subject, self._issuing.name, key, now - timedelta(days=365), ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(issued_by, critical=False)
            .add_extension(x509.AuthorityInformationAccess([found_at]), critical=False)
            .sign(self._issuing.key, hashes.SHA256())
        )
        number = f"{certificate.serial_number:x}"[:8]
        return Leaf(f"CERT-{label}-{number}", key, certificate.public_bytes(Encoding.PEM))


def _authority(subject: _Signing, issuer: _Signing, *, path_length: int) -> x509.Certificate:
    now, years = datetime.now(UTC), timedelta(days=3650)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(subject.name, issuer.name, subject.key, now - years, now + years)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(subject.key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .sign(issuer.key, hashes.SHA256())
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: RSAPrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
