"""Reads the parameters of requests, and refuses what Twilio would not accept."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlsplit

from simulators.twilio.answers import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to one of the newer APIs; `base` is the simulator's address. `lists` has each
    parameter with all its values: Twilio takes a list as a repeated parameter.
    """

    method: str
    base: str
    path: str
    text: str

    @property
    def given(self) -> dict[str, str]:
        return form(self.text)

    @property
    def lists(self) -> dict[str, list[str]]:
        return parse_qs(self.text, keep_blank_values=True)


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
