"""Verifies PayPal's webhook signature over the delivered bytes; refuses anything it cannot prove.

The signed text is `transmission id|transmission time|webhook id|CRC-32 of the body, in decimal`,
RSA PKCS#1 v1.5 with SHA-256 (PayPal-Python-SDK, `paypalrestsdk/notifications.py`; proven on
genuinely signed events). Only the CRC of the body is signed, so a verified body is a hint and no
more. PayPal sets no age limit, and retries continue for three days.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from domain.plain_text import is_printable_ascii
from providers.errors import InvalidSignature, ProviderError, VerificationUnavailable
from providers.paypal import reading
from providers.paypal.budget import Budget
from providers.paypal.calls import Calls
from providers.paypal.certificates import Certificates, TooMany, UntrustedCertificate
from providers.paypal.chains import Signer

log = structlog.get_logger()
_ALGORITHM = "SHA256withRSA"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_SIGNATURE_BYTES = range(128, 1025)  # RSA keys of 1024 to 8192 bits
QUERIES_AT_ONCE = 20
QUERIES_EACH_SECOND = 2.0


@dataclass(frozen=True, slots=True)
class Transmission:
    id: str
    time: str
    signature: str
    signed: bytes
    certificate_url: str
    algorithm: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Transmission":
        """Header names are lower case."""
        names = (
            "transmission-id",
            "transmission-time",
            "transmission-sig",
            "cert-url",
            "auth-algo",
        )
        values = [headers.get(f"paypal-{name}", "") for name in names]
        for name, value in zip(names, values, strict=True):
            if not value or len(value) > 2048 or not is_printable_ascii(value):
                raise InvalidSignature(f"the header paypal-{name} is missing or unreadable")
        id_, time, signature, certificate_url, algorithm = values
        if algorithm != _ALGORITHM:
            raise InvalidSignature(f"the algorithm is not {_ALGORITHM}")
        if not _TIME.fullmatch(time):
            raise InvalidSignature("the transmission time is not a time")
        return cls(id_, time, signature, _decoded(signature), certificate_url, algorithm)


class Signatures:
    """Verifies offline by certificate; queries PayPal only with `calls`, and only if the
    certificate is inconclusive.
    """

    def __init__(
        self, certificates: Certificates, webhook_ids: Sequence[str], online: Calls | None = None
    ) -> None:
        if not webhook_ids or not all(webhook_ids):
            raise ValueError("a PayPal webhook id is needed to verify webhooks")
        self._certificates = certificates
        self._webhook_ids = tuple(webhook_ids)
        self._online = online
        self._budget = Budget(at_once=QUERIES_AT_ONCE, each_second=QUERIES_EACH_SECOND)

    async def verify(self, raw: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        """Rejects deliveries that cannot be genuine, before any query."""
        transmission = Transmission.of(headers)
        try:
            signer = await self._certificates.signer(transmission.certificate_url, now)
        except TooMany:
            raise
        except (VerificationUnavailable, UntrustedCertificate):
            if self._online is None:
                raise
            await self._ask(self._online, transmission, raw)
        else:
            self._check(signer, transmission, raw)

    def _check(self, signer: Signer, transmission: Transmission, raw: bytes) -> None:
        checksum = zlib.crc32(raw)
        for webhook_id in self._webhook_ids:
            if _signed(
                signer,
                transmission.signed,
                f"{transmission.id}|{transmission.time}|{webhook_id}|{checksum}",
            ):
                return
        raise InvalidSignature("the signature does not match the body and our webhook ids")

    async def _ask(self, online: Calls, transmission: Transmission, raw: bytes) -> None:
        """Each query costs a call with our credentials, even for a forged delivery: none is made
        beyond the budget.
        """
        for webhook_id in self._webhook_ids:
            question = _question(transmission, webhook_id, raw)
            if not self._budget.take():
                log.warning("webhook_verification_limited", transmission_id=transmission.id[:64])
                raise TooMany("too many signature queries to PayPal")
            try:
                answer = await online.post_verbatim(
                    "/v1/notifications/verify-webhook-signature", question
                )
            except ProviderError as error:
                raise VerificationUnavailable(
                    f"PayPal could not verify a signature: {error.code}"
                ) from error
            if answer.get("verification_status") == "SUCCESS":
                return
        raise InvalidSignature("PayPal does not know this signature")


def _decoded(signature: str) -> bytes:
    try:
        decoded = base64.b64decode(signature, validate=True)
    except binascii.Error as error:
        raise InvalidSignature("the signature is not base64") from error
    if len(decoded) not in _SIGNATURE_BYTES:
        raise InvalidSignature("the signature is not an RSA signature")
    return decoded


def _signed(signer: Signer, signature: bytes, text: str) -> bool:
    try:
        signer.key.verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
    except WrongSignature:
        return False
    return True


def _question(transmission: Transmission, webhook_id: str, raw: bytes) -> bytes:
    """Sends the delivered bytes verbatim: with another key order, `1.0` or `{}` PayPal answers
    FAILURE.
    """
    try:
        # one complete object, or it could close ours and append its own fields
        reading.document(raw)
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
