"""Checks that a certificate is PayPal's message signing certificate, issued under a trusted root; fetches nothing.

`cryptography`'s path building is used with a policy of our own: the certificate signs messages, so no server name and
no key usage for TLS is asked of it; its name is checked here instead. The names are those in PayPal's signed samples.
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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

SIGNER_NAMES = frozenset({"messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com"})
_LONGEST_CHAIN = 6
_PEM = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Untrusted(Exception):
    """The certificate is not PayPal's, or not now."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A trusted key. It holds from `not_before` to `not_after`, the narrowest of its whole chain."""

    key: RSAPublicKey
    not_before: datetime
    not_after: datetime

    def holds(self, now: datetime) -> bool:
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True)
class Trust:
    """`roots` are believed; `intermediates` only help to find the way to a root."""

    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    @classmethod
    def load(cls, extra_file: Path | None = None) -> "Trust":
        """The public roots and the system's, and the certificates of `extra_file`: self-issued ones are believed."""
        found = _certificates(Path(certifi.where()))
        system = ssl.get_default_verify_paths().cafile
        if system is not None:
            found += _certificates(Path(system))
        extra = _certificates(extra_file) if extra_file is not None else []
        if extra_file is not None and not extra:
            raise ValueError(f"there is no certificate in {extra_file}")
        roots = dict.fromkeys(found + [one for one in extra if one.issuer == one.subject])
        return cls(tuple(roots), tuple(one for one in extra if one.issuer != one.subject))


def check(pem: bytes, trust: Trust, now: datetime) -> Signer:
    """The signer of a PEM file: the leaf first, intermediates behind it. Raises `Untrusted`."""
    try:
        served = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Untrusted("the certificate URL gave no readable certificate") from error
    leaf = served[0]
    _check_name(leaf)
    chain = _chain(leaf, [*served[1:_LONGEST_CHAIN], *trust.intermediates], trust, now)
    key = leaf.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Untrusted("the certificate's key is not RSA")
    return Signer(
        key=key,
        not_before=max(one.not_valid_before_utc for one in chain),
        not_after=min(one.not_valid_after_utc for one in chain),
    )


def _chain(
    leaf: x509.Certificate, intermediates: list[x509.Certificate], trust: Trust, now: datetime
) -> Sequence[x509.Certificate]:
    if not trust.roots:
        raise Untrusted("no root is trusted")
    issuing = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _issues)
    signing = ExtensionPolicy.permit_all().may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _only_signs)
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
        raise Untrusted(f"the certificate is not under a trusted root, or not valid now: {error}") from error


def _issues(_policy: Policy, certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("an issuer in the chain is no certificate authority")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise ValueError("an issuer in the chain may not issue certificates")


def _only_signs(_policy: Policy, _leaf: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("the certificate is an authority's")


def _check_name(leaf: x509.Certificate) -> None:
    """The alternative names count where there are any: a root vouches for them, for a common name not always."""
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternatives.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError as error:
        raise Untrusted("the certificate's extensions cannot be read") from error
    if not SIGNER_NAMES.intersection(name.lower() for name in names):
        raise Untrusted("the certificate is not PayPal's message signing certificate")


def _certificates(path: Path) -> list[x509.Certificate]:
    """Those of the file that keep to RFC 5280; one old root that does not must not cost us all the others."""
    found = []
    for block in _PEM.findall(path.read_bytes()):
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            with suppress(ValueError, CryptographyDeprecationWarning):
                found.append(x509.load_pem_x509_certificate(block))
    return found
