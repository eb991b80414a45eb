"""Verifies and reads Twilio's status callbacks; an unverifiable callback is False, never an
exception.

Sources: twilio 9.13.0 `twilio/request_validator.py`; Twilio's "Webhooks security" page: the key is
the primary auth token of the account that owns the message, and the URL is the one that Twilio
called (before any proxy).
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import parse_qs, parse_qsl, urlsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from domain.campaigns.telephony import StatusCallback
from providers.twilio import reading
from providers.twilio.reading import SID

Params = Sequence[tuple[str, str]] | bytes
_MOST_FIELDS = 200
_RETRY_OVERRIDES = "#rc=5&rp=all&rt=6000"


def callback_url(public_url: str, attempt_id: str) -> str:
    """The callback URL of an attempt: Twilio retries up to five times within 15 seconds in all, and
    waits for a response for six of them.

    By default it retries once, and only if it could not connect. The overrides are in the fragment,
    which is part of neither the request nor its signature (Twilio's "Webhooks: Connection
    Overrides": `rc`, 0 to 5, 1 unless given; `rp`, one or more of 4xx, 5xx, ct, rt or all, `ct`
    unless given; `rt` and `tt`, 15000 ms at most and unless given, so that without `rt` a process
    that hangs would use up all the time).
    """
    return f"{public_url}/webhooks/twilio/status?attempt={attempt_id}{_RETRY_OVERRIDES}"


def verify_callback(url: str, params: Params, signature: str, auth_token: str) -> bool:
    """`params` are the form's pairs or its raw body; blank and repeated ones count in the
    signature.

    Only what does not match the URL as it is goes to the SDK's validator, which takes four times
    as long: it also tries the URL with and without a port, and knows bodies that are no forms.
    """
    if not auth_token:
        return False  # an empty token signs with an empty key, which anyone can do
    try:
        if isinstance(params, bytes) and "bodySHA256" in parse_qs(urlsplit(url).query):
            return bool(
                RequestValidator(auth_token).validate(url, params.decode("utf-8"), signature)
            )
        form = form_of(params)
        if form is None:
            return False
        if hmac.compare_digest(_signature(url, form, auth_token), signature.encode()):
            return True
        return bool(RequestValidator(auth_token).validate(url, _Form(form), signature))
    except (ValueError, TypeError):  # a URL or a body that cannot be read
        return False


def parse_callback(url: str, params: Params) -> StatusCallback | None:
    """None if it is not a status callback. Does not authenticate the sender: verify with the
    account's token first.
    """
    form = form_of(params)
    if form is None:
        return None
    fields = dict(form)
    attempt = dict(parse_qsl(url.partition("?")[2])).get("attempt")
    account_sid = fields.get("AccountSid", "")
    message_sid = reading.first(fields, "MessageSid", "SmsSid") or ""
    if not SID.fullmatch(account_sid) or not SID.fullmatch(message_sid):
        return None
    return StatusCallback(
        account_sid=account_sid,
        message_sid=message_sid,
        status=reading.delivery_status(reading.first(fields, "MessageStatus", "SmsStatus")),
        error_code=reading.number(fields.get("ErrorCode")),
        attempt_id=attempt,
    )


def form_of(params: Params) -> Sequence[tuple[str, str]] | None:
    """None if the body is not a form."""
    if not isinstance(params, bytes):
        return params
    try:
        return parse_qsl(
            params.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        return None


def _signature(url: str, form: Sequence[tuple[str, str]], auth_token: str) -> bytes:
    """Of Twilio's "Webhooks security" page: each field once, by its name and value."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1"))


class _Form:
    """The form in the shape that the SDK's validator expects, so that a repeated field keeps all
    values.
    """

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in fields:
            self._values.setdefault(name, []).append(value)

    def __iter__(self) -> "object":
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getlist(self, name: str) -> list[str]:
        return self._values[name]
