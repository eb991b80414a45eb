"""Verifies PayPal's webhook signature over the delivered bytes; refuses anything it cannot prove.

The signed text is `transmission id|transmission time|webhook id|CRC-32 of the body, in decimal`, RSA PKCS#1 v1.5 with
SHA-256 (PayPal-Python-SDK, `paypalrestsdk/notifications.py`; proven on genuinely signed events). Only the CRC of the
body is signed, so a verified body is a hint and no more. PayPal sets no age limit, and retries go on for three days.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from providers.errors import InvalidSignature, ProviderError, VerificationUnavailable
from providers.paypal import reading
from providers.paypal.calls import Calls
from providers.paypal.certificates import Certificates, UntrustedCertificate
from providers.paypal.chains import Signer

_ALGORITHM = "SHA256withRSA"


@dataclass(frozen=True, slots=True)
class Transmission:
    id: str
    time: str
    signature: str
    certificate_url: str
    algorithm: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Transmission":
        """Header names are lower case."""
        names = ("transmission-id", "transmission-time", "transmission-sig", "cert-url", "auth-algo")
        values = [headers.get(f"paypal-{name}", "") for name in names]
        for name, value in zip(names, values, strict=True):
            if not value or len(value) > 2048 or not value.isascii():
                raise InvalidSignature(f"the header paypal-{name} is missing or unreadable")
        return cls(*values)


class Signatures:
    """Checks offline by certificate; asks PayPal only with `calls`, and only where the certificate settles nothing."""

    def __init__(self, certificates: Certificates, webhook_ids: Sequence[str], online: Calls | None = None) -> None:
        if not webhook_ids or not all(webhook_ids):
            raise ValueError("a PayPal webhook id is needed to verify webhooks")
        self._certificates = certificates
        self._webhook_ids = tuple(webhook_ids)
        self._online = online

    async def verify(self, raw: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        transmission = Transmission.of(headers)
        if transmission.algorithm != _ALGORITHM:
            raise InvalidSignature(f"the algorithm is not {_ALGORITHM}")
        try:
            signer = await self._certificates.signer(transmission.certificate_url, now)
        except (VerificationUnavailable, UntrustedCertificate):
            if self._online is None:
                raise
            await self._ask(self._online, transmission, raw)
        else:
            self._check(signer, transmission, raw)

    def _check(self, signer: Signer, transmission: Transmission, raw: bytes) -> None:
        try:
            signature = base64.b64decode(transmission.signature, validate=True)
        except binascii.Error as error:
            raise InvalidSignature("the signature is not base64") from error
        checksum = zlib.crc32(raw)
        for webhook_id in self._webhook_ids:
            if _signed(signer, signature, f"{transmission.id}|{transmission.time}|{webhook_id}|{checksum}"):
                return
        raise InvalidSignature("the signature does not match the body and our webhook ids")

    async def _ask(self, online: Calls, transmission: Transmission, raw: bytes) -> None:
        for webhook_id in self._webhook_ids:
            try:
                told = await online.post_verbatim(
                    "/v1/notifications/verify-webhook-signature", _question(transmission, webhook_id, raw)
                )
            except ProviderError as error:
                raise VerificationUnavailable(f"PayPal cannot be asked about a signature: {error.code}") from error
            if told.get("verification_status") == "SUCCESS":
                return
        raise InvalidSignature("PayPal does not know this signature")


def _signed(signer: Signer, signature: bytes, text: str) -> bool:
    try:
        signer.key.verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
    except WrongSignature:
        return False
    return True


def _question(transmission: Transmission, webhook_id: str, raw: bytes) -> bytes:
    """The delivered bytes go in verbatim: key order, `1.0` or `{}` written otherwise make PayPal answer FAILURE."""
    try:
        reading.document(raw)  # one whole object, or it could close ours and write its own fields behind it
    except reading.NotJson as error:
        raise InvalidSignature("the body is not a JSON object") from error
    fields = {
        "auth_algo": transmission.algorithm,
        "cert_url": transmission.certificate_url,
        "transmission_id": transmission.id,
        "transmission_sig": transmission.signature,
        "transmission_time": transmission.time,
        "webhook_id": webhook_id,
    }
    return json.dumps(fields)[:-1].encode() + b', "webhook_event": ' + raw + b"}"
