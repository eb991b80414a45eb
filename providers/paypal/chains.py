"""Checks that a certificate is PayPal's message signing certificate, issued under a trusted root;
fetches nothing.

Uses `cryptography`'s path building with a policy of our own: the certificate signs messages, so no
server name and no TLS key usage is required; its name is checked here instead. The names are those
in PayPal's signed samples.
"""

import re
import ssl
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

SIGNER_NAMES = frozenset(
    {"messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"}
)
_LONGEST_CHAIN = 6
_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Untrusted(Exception):
    """The certificate is not PayPal's, or not valid now."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A trusted key, valid from `not_before` to `not_after`, the narrowest period of its chain."""

    key: RSAPublicKey
    not_before: datetime
    not_after: datetime

    def holds(self, now: datetime) -> bool:
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True)
class Trust:
    """`roots` are trusted; `intermediates` only help to find a path to a root."""

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, extra_file: Path | None = None) -> "Trust":
        """The public and the system's roots, and the certificates in `extra_file`: self-issued ones
        are trusted.
        """
        found = _certificates(Path(certifi.where()))
        system = ssl.get_default_verify_paths().cafile
        if system is not None:
            found += _certificates(Path(system))
        extra = _certificates(extra_file) if extra_file is not None else []
        if extra_file is not None and not extra:
            raise ValueError(f"there is no certificate in {extra_file}")
        roots = dict.fromkeys(
            found
            + [certificate for certificate in extra if certificate.issuer == certificate.subject]
        )
        return cls(
            tuple(roots),
            tuple(issued for issued in extra if issued.issuer != issued.subject),
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """A leaf that is PayPal's, and the path to a trusted root."""

    signer: Signer
    intermediates: tuple[x509.Certificate, ...]


def candidates(pem: bytes, now: datetime) -> list[x509.Certificate]:
    """The certificates that a URL served: the leaf first, then intermediates, if any.

    Raises `Untrusted` if the leaf cannot be PayPal's, whoever issued it.
    """
    try:
        served = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Untrusted("the certificate URL returned no readable certificate") from error
    leaf = served[0]
    _check_name(leaf)
    if not isinstance(leaf.public_key(), RSAPublicKey):
        raise Untrusted("the certificate's key is not RSA")
    if not holds(leaf, now):
        raise Untrusted("the certificate is not valid now")
    return served[:_LONGEST_CHAIN]


def verify(
    leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], trust: Trust, now: datetime
) -> Chain:
    """Raises `Untrusted`."""
    chain = _chain(leaf, list(intermediates), trust, now)
    key = leaf.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Untrusted("the certificate's key is not RSA")
    signer = Signer(
        key=key,
        not_before=max(certificate.not_valid_before_utc for certificate in chain),
        not_after=min(certificate.not_valid_after_utc for certificate in chain),
    )
    return Chain(signer, tuple(chain[1:-1]))


def top(leaf: x509.Certificate, intermediates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate whose issuer is missing."""
    found = leaf
    for _ in range(_LONGEST_CHAIN):
        issuer = next(
            (each for each in intermediates if each != found and _issued(found, each)),
            None,
        )
        if issuer is None:
            break
        found = issuer
    return found


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def holds(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def issuer_urls(certificate: x509.Certificate) -> list[str]:
    """The addresses of the issuer's certificate, as named by a certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.AuthorityInformationAccess
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        access.access_location.value
        for access in found
        if access.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(access.access_location, x509.UniformResourceIdentifier)
    ]


def certificates(file: bytes) -> list[x509.Certificate]:
    """The certificates in an authority's file: DER, PEM, or PKCS #7 in either. Raises `Untrusted`
    if there is none.
    """
    readers = (
        lambda raw: [x509.load_der_x509_certificate(raw)],
        x509.load_pem_x509_certificates,
        pkcs7.load_der_pkcs7_certificates,
        pkcs7.load_pem_pkcs7_certificates,
    )
    for read in readers:
        with suppress(ValueError, UnsupportedAlgorithm):
            return list(read(file))[:_LONGEST_CHAIN]
    raise Untrusted("the issuer's address returned no readable certificate")


def fingerprint(certificate: x509.Certificate) -> bytes:
    return certificate.fingerprint(SHA256())


def _chain(
    leaf: x509.Certificate, intermediates: list[x509.Certificate], trust: Trust, now: datetime
) -> Sequence[x509.Certificate]:
    if not trust.roots:
        raise Untrusted("no root is trusted")
    issuing = ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, _issues
    )
    signing = ExtensionPolicy.permit_all().may_be_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, _only_signs
    )
    verifier = (
        PolicyBuilder()
        .store(Store(list(trust.roots)))
        .time(now)
        .max_chain_depth(_LONGEST_CHAIN)
        .extension_policies(ca_policy=issuing, ee_policy=signing)
        .build_client_verifier()
    )
    try:
        return verifier.verify(leaf, intermediates).chain
    except VerificationError as error:
        raise Untrusted(
            f"the certificate is not under a trusted root, or not valid now: {error}"
        ) from error


def _issues(
    _policy: Policy, certificate: x509.Certificate, _constraints: x509.BasicConstraints
) -> None:
    """The verifier itself checks that an issuer is an authority."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise ValueError("an issuer in the chain may not issue certificates")


def _only_signs(
    _policy: Policy, _leaf: x509.Certificate, constraints: x509.BasicConstraints | None
) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("the certificate is that of an authority")


def _check_name(leaf: x509.Certificate) -> None:
    """Uses the alternative names if there are any: a root always verifies those, but not always a
    common name.
    """
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = [
            str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
    except ValueError as error:
        raise Untrusted("the certificate's extensions cannot be read") from error
    if not SIGNER_NAMES.intersection(name.lower() for name in names):
        raise Untrusted("the certificate is not PayPal's message signing certificate")


def _certificates(path: Path) -> list[x509.Certificate]:
    """The file's certificates that conform to RFC 5280; one old root that does not must not
    invalidate the others.
    """
    found = []
    for block in _PEM.findall(path.read_bytes()):
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            with suppress(ValueError, CryptographyDeprecationWarning):
                found.append(x509.load_pem_x509_certificate(block))
    return found
