"""The keys that sign webhooks: a certificate authority made at the start and the certificates that it issues."""

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
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER_NAME = "messageverificationcerts.paypal.com"


class Kind(StrEnum):
    """`GOOD` is what PayPal would present; the others must not be believed."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_NAME = "wrong_name"
    OTHER_CA = "other_ca"


@dataclass(frozen=True)
class Leaf:
    id: str
    key: RSAPrivateKey
    chain: bytes
    """The leaf, then the authority that issued it, as PEM."""

    def sign(self, transmission_id: str, transmission_time: str, webhook_id: str, body: bytes) -> str:
        text = signed_text(transmission_id, transmission_time, webhook_id, body)
        return b64encode(self.key.sign(text, PKCS1v15(), hashes.SHA256())).decode()

    def verifies(self, signature: bytes, text: bytes) -> bool:
        try:
            self.key.public_key().verify(signature, text, PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def signed_text(transmission_id: str, transmission_time: str, webhook_id: str, body: bytes) -> bytes:
    """Only the body's CRC-32 is signed, as a decimal number: so it is at PayPal."""
    return f"{transmission_id}|{transmission_time}|{webhook_id}|{zlib.crc32(body)}".encode()


class Authority:
    """Issues one certificate of each kind, at the first use: a key takes a tenth of a second to make."""

    def __init__(self, name: str = "Simulated PayPal webhook CA") -> None:
        self._key = _new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._leaves: dict[Kind, Leaf] = {}

    @cached_property
    def certificate(self) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = _builder(self._name, self._name, self._key, now - timedelta(days=3650), now + timedelta(days=3650))
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
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def leaf(self, kind: Kind = Kind.GOOD) -> Leaf:
        if kind not in self._leaves:
            self._leaves[kind] = self._issue(kind)
        return self._leaves[kind]

    def find(self, certificate_id: str) -> Leaf | None:
        return next((leaf for leaf in self._leaves.values() if leaf.id == certificate_id), None)

    def _issue(self, kind: Kind) -> Leaf:
        if kind is Kind.OTHER_CA:
            foreign = Authority("A CA that nobody trusts").leaf()
            return Leaf("CERT-other-ca", foreign.key, foreign.chain)
        key = _new_key()
        name = "messageverificationcerts.example.com" if kind is Kind.WRONG_NAME else SIGNER_NAME
        now = datetime.now(UTC)
        ends = now - timedelta(days=1) if kind is Kind.EXPIRED else now + timedelta(days=365)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PayPal, Inc."),
            ]
        )
        issuer = self.certificate
        certificate = (
            _builder(subject, issuer.subject, key, now - timedelta(days=365), ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        number = f"{certificate.serial_number:x}"[:8]
        return Leaf(f"CERT-{kind.value}-{number}", key, certificate.public_bytes(Encoding.PEM) + self.pem)


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
