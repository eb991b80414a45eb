"""What a log line must not contain, whichever way it got there."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from domain.lifecycle.standing import Block
from domain.redaction import redact_text
from runtime import logging as our_logging
from runtime.logging import redact

MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\S+Z")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    our_logging.configure("info", "json", build_id="b1", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "logged"),
    [
        ("to +15550001142 now", "to +1555***42 now"),
        ("To=%2B4915112345678&x", "To=%2B4915***78&x"),
        ('"+15550001142"', '"+1555***42"'),
        ("2026-11-23T04:04:14.213+00:00", "2026-11-23T04:04:14.213+00:00"),
        ("a sum of 3+4155512", "a sum of 3+4155512"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer ***"),
        ("postgresql://app:hunter2@db/x", "postgresql://app:***@db/x"),
        ("AuthToken=12345&Body=hi", "AuthToken=***&Body=hi"),
    ],
)
def test_texts_lose_numbers_and_secrets_and_nothing_else(text: str, logged: str) -> None:
    assert redact_text(text) == logged


@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Stripe-Signature",
        "paypal-transmission-sig",
        "X-Twilio-Signature",
        "auth_token",
        "client_secret",
        "API-Key",
        "password",
        "database_url",
        "Cookie",
    ],
)
def test_a_secret_key_hides_its_value_at_any_depth(key: str) -> None:
    assert redact({"request": [{"headers": {key: "plain"}}]}) == {
        "request": [{"headers": {key: "***"}}]
    }


def test_secret_types_and_keys_that_are_numbers_are_hidden() -> None:
    assert redact({"+15550001142": SecretStr("s"), "n": 7}) == {"+1555***42": "***", "n": 7}


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_of_ours_is_logged_without_the_name_of_its_class(form: str) -> None:
    written = io.StringIO()
    our_logging.configure("info", form, stream=written)

    structlog.get_logger("ours").info(
        "applied", blocks=[Block.NONPAYMENT], of={"kind": Block.ADMIN}
    )
    logging.getLogger("uvicorn.error").info("ended", extra={"color_message": "\x1b[36mended"})

    assert "Block" not in written.getvalue()
    assert "nonpayment" in written.getvalue()
    assert "\x1b" not in written.getvalue().replace("\\u001b", "\x1b")


def test_every_logger_writes_one_redacted_json_line(stream: io.StringIO) -> None:
    structlog.get_logger("ours").info("sent", to="+15550001142", number=7)
    logging.getLogger("uvicorn.error").warning("from %s", "+15550001142")
    logging.getLogger("temporalio.worker").info("slow\nline", extra={"auth_token": "t"})

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["sent", "from +1555***42", "slow\nline"]
    assert lines[0]["to"] == "+1555***42"
    assert lines[0]["number"] == 7
    assert lines[2]["auth_token"] == "***"
    assert all(line["build"] == "b1" and line["level"] and line["timestamp"] for line in lines)


def test_a_traceback_is_redacted_too(stream: io.StringIO) -> None:
    try:
        raise ValueError("no such number: +15550001142")
    except ValueError:
        structlog.get_logger("ours").exception("refused")

    (line,) = stream.getvalue().splitlines()
    assert "+15550001142" not in line
    assert "+1555***42" in json.loads(line)["exception"]


@pytest.mark.parametrize("client", ["httpx", "stripe", "twilio.http_client"])
def test_a_clients_chatter_about_its_calls_is_not_logged(stream: io.StringIO, client: str) -> None:
    logging.getLogger(client).info(
        "message='Request to Stripe api' url=https://api.stripe.com/v1/customers/cus_1"
    )

    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_direct_logger_writes_the_same_line(stream: io.StringIO, form: str) -> None:
    our_logging.configure("info", form, build_id="b1", stream=stream)

    with structlog.contextvars.bound_contextvars(request_id="r1"):
        for logger in (structlog.get_logger("api"), our_logging.direct("api")):
            logger.debug("unseen")
            logger.info("request", path="/v1/+15550001142", token="x", status=201, ms=0.4)

    through_logging, direct = stream.getvalue().splitlines()
    assert re.sub(MOMENT, "", direct) == re.sub(MOMENT, "", through_logging)
    assert "+1555***42" in direct
    assert "r1" in direct
    assert "b1" in direct
