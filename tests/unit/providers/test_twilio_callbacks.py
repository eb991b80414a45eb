"""A status callback is accepted only with the signature of the account's own token, whatever its
form contains.
"""

import base64
import hashlib
import hmac
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from domain.campaigns.telephony import DeliveryStatus, StatusCallback
from providers.twilio import parse_callback, verify_callback
from providers.twilio.callbacks import Params

TOKEN = "12345"
URL = "https://example.test/twilio/status?attempt=a-1"
FORM = [
    ("AccountSid", "AC1"),
    ("MessageSid", "SM1"),
    ("MessageStatus", "delivered"),
    ("To", "+1555"),
    ("Empty", ""),
]


def signature(url: str = URL, form: list[tuple[str, str]] = FORM, token: str = TOKEN) -> str:
    text = url + "".join(name + value for name, value in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def body(form: list[tuple[str, str]]) -> bytes:
    return urlencode(form).encode()


@pytest.mark.parametrize("params", [FORM, body(FORM)], ids=["pairs", "raw"])
def test_a_genuine_callback_is_verified_with_its_blank_fields(params: Params) -> None:
    assert verify_callback(URL, params, signature(), TOKEN)


def test_the_vendors_own_example_is_verified() -> None:
    """From Twilio's "Webhooks security" page."""
    form = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+12349013030"),
        ("Digits", "1234"),
        ("From", "+12349013030"),
        ("To", "+18005551212"),
    ]

    assert verify_callback(
        "https://mycompany.com/myapp.php?foo=1&bar=2", form, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", TOKEN
    )


def test_a_repeated_field_keeps_all_its_values() -> None:
    form = [*FORM, ("MediaUrl", "b"), ("MediaUrl", "a")]

    assert verify_callback(URL, body(form), signature(form=form), TOKEN)
    assert not verify_callback(URL, body([*FORM, ("MediaUrl", "b")]), signature(form=form), TOKEN)


def test_a_port_makes_no_difference() -> None:
    assert verify_callback(
        "https://example.test:443/twilio/status?attempt=a-1", FORM, signature(), TOKEN
    )


FIELDS = st.lists(st.tuples(st.sampled_from("aAbZé"), st.text(max_size=3)), max_size=6)


@given(FIELDS, st.sampled_from(["", ":443", ":8443"]), st.sampled_from(["", "?a=1", "?"]))
def test_what_the_vendors_validator_signs_is_verified(
    form: list[tuple[str, str]], port: str, query: str
) -> None:
    url = f"https://example.test{port}/status{query}"
    signed = RequestValidator(TOKEN).compute_signature(url, ImmutableMultiDict(form))

    assert verify_callback(url, form, signed, TOKEN)
    assert not verify_callback(url, [*form, ("c", "")], signed, TOKEN)


@pytest.mark.parametrize(
    ("url", "params", "signed", "token"),
    [
        (URL, FORM[:-1], signature(), TOKEN),
        (URL, [*FORM[:2], ("MessageStatus", "failed"), *FORM[3:]], signature(), TOKEN),
        (URL.replace("a-1", "a-2"), FORM, signature(), TOKEN),
        (URL, FORM, signature(), "another"),
        (URL, FORM, "", TOKEN),
        (URL, FORM, "é", TOKEN),
        (URL, FORM, signature(token=""), ""),
        (URL, b'{"json": true}', signature(), TOKEN),
        (URL, b"\xff\xfe", signature(), TOKEN),
        (URL + "&bodySHA256=00", b'{"json": true}', signature(), TOKEN),
        (URL + "&bodySHA256=00", b"\xff", signature(), TOKEN),
        (URL + "&bodySHA256=00", FORM, signature(), TOKEN),
        ("https://example.test:port/", FORM, signature(), TOKEN),
        ("https://[broken/", FORM, signature(), TOKEN),
        ("", FORM, signature(), TOKEN),
    ],
)
def test_anything_else_is_refused_without_an_exception(
    url: str, params: Params, signed: str, token: str
) -> None:
    assert not verify_callback(url, params, signed, token)


def test_a_json_body_is_verified_by_its_hash() -> None:
    raw = b'{"a": 1}'
    url = f"{URL}&bodySHA256={hashlib.sha256(raw).hexdigest()}"

    assert verify_callback(url, raw, signature(url, []), TOKEN)
    assert not verify_callback(url, raw + b" ", signature(url, []), TOKEN)


@pytest.mark.parametrize("params", [FORM, body(FORM)], ids=["pairs", "raw"])
def test_a_callback_is_read_with_the_attempt_from_our_own_url(params: Params) -> None:
    assert parse_callback(URL, params) == StatusCallback(
        account_sid="AC1", message_sid="SM1", status=DeliveryStatus.DELIVERED, attempt_id="a-1"
    )


def test_the_older_names_and_an_error_are_read() -> None:
    form = [
        ("AccountSid", "AC1"),
        ("SmsSid", "SM1"),
        ("SmsStatus", "failed"),
        ("ErrorCode", "30002"),
    ]

    callback = parse_callback("https://example.test/", form)

    assert callback == StatusCallback(
        account_sid="AC1", message_sid="SM1", status=DeliveryStatus.FAILED, error_code=30002
    )


def test_a_status_unknown_to_us_is_none() -> None:
    callback = parse_callback(
        URL, [("AccountSid", "AC1"), ("MessageSid", "SM1"), ("MessageStatus", "enchanted")]
    )

    assert callback is not None
    assert callback.status is None


@pytest.mark.parametrize(
    "params",
    [
        b"",
        b"\xff",
        [("AccountSid", "AC1")],
        [("MessageSid", "SM1")],
        b"AccountSid=%00&MessageSid=SM1",
        b"AccountSid=AC1&MessageSid=SM1%00",
        [("AccountSid", "AC1"), ("MessageSid", "../SM1")],
    ],
)
def test_what_is_no_status_callback_is_none(params: Params) -> None:
    assert parse_callback(URL, params) is None
