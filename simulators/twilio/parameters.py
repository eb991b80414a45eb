"""Reads the parameters of requests, and refuses what Twilio would not accept."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from simulators.twilio.answers import Refusal


def form(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def invalid(name: str, value: str) -> Refusal:
    return Refusal(400, 20001, f"Invalid {name}: {value}")


def required(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise Refusal(400, 20001, f"Missing required parameter {name}")
    return value


def boolean(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = given.get(name, "").lower()
    if value not in ("", "true", "false"):
        raise invalid(name, value)
    return default if not value else value == "true"


def choice(given: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = given.get(name) or default
    if value not in choices:
        raise invalid(name, value)
    return value


def url(given: Mapping[str, str], name: str) -> str:
    value = required(given, name)
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(name, value)
    return value
