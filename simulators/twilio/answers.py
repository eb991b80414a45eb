"""Twilio's responses: accounts, messages, pages and errors as JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar
from urllib.parse import urlencode

from simulators.twilio.state import Account, Behaviour, SentMessage, State, rfc2822

API = "/2010-04-01"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class Refusal(Exception):
    """A Twilio error: HTTP status, code and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        return Answer(self.status, error_body(self.status, self.code, self.message))


def ok(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def error_body(status: int, code: int, message: str) -> bytes:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return json.dumps(
        {"code": code, "message": message, "more_info": more, "status": status}
    ).encode()


def fault_body(status: int) -> bytes:
    if status == 429:
        return error_body(429, 20429, "Too Many Requests")
    if status == 503:
        return error_body(503, 20503, "Service Unavailable")
    return error_body(500, 20500, "An internal server error has occurred")


def not_found(path: str) -> Refusal:
    return Refusal(404, 20404, f"The requested resource {path} was not found")


def account_json(state: State, account: Account) -> dict[str, Any]:
    uri = f"{API}/Accounts/{account.sid}"
    return {
        "auth_token": account.auth_token,
        "date_created": rfc2822(account.created),
        "date_updated": rfc2822(account.updated),
        "friendly_name": account.friendly_name,
        "owner_account_sid": account.owner,
        "sid": account.sid,
        "status": state.status_of(account),
        "subresource_uris": {
            "messages": f"{uri}/Messages.json",
            "balance": f"{uri}/Balance.json",
            "usage": f"{uri}/Usage.json",
        },
        "type": "Full",
        "uri": f"{uri}.json",
    }


def shown_to(message: SentMessage, behaviour: Behaviour) -> str:
    return f"{message.to[:-4]}XXXX" if behaviour.redact_numbers else message.to


def message_json(message: SentMessage, behaviour: Behaviour) -> dict[str, Any]:
    uri = f"{API}/Accounts/{message.account_sid}/Messages/{message.sid}"
    through_service = message.service_sid is not None and message.sent is None
    return {
        "account_sid": message.account_sid,
        "api_version": "2010-04-01",
        "body": "" if behaviour.redact_bodies else message.body,
        "date_created": rfc2822(message.created),
        "date_sent": rfc2822(message.sent),
        "date_updated": rfc2822(message.updated),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": message.sender,
        "messaging_service_sid": message.service_sid,
        "num_media": "1" if message.channel == "mms" else "0",
        "num_segments": "0" if through_service else str(message.segments),
        "price": None if message.price is None else f"{message.price:.5f}",
        "price_unit": behaviour.currency,
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": shown_to(message, behaviour),
        "uri": f"{uri}.json",
    }


def page_number(query: dict[str, str], name: str, default: int) -> int:
    value = query.get(name) or str(default)
    if not (value.isascii() and value.isdigit()):
        raise Refusal(400, 20001, f"Invalid {name}: {value}")
    return int(value)


def page_json(
    name: str,
    path: str,
    query: dict[str, str],
    items: Sequence[T],
    to_json: Callable[[T], dict[str, Any]],
    key: Callable[[T], str] = attrgetter("sid"),
) -> dict[str, Any]:
    """One page of `items`, the newest first, with the addresses of its neighbours.

    A following page is requested with the token in `next_page_uri`, which names the last item of
    the previous page, so new messages do not shift pages.
    """
    size = min(page_number(query, "PageSize", 50) or 1, 1000)
    number, token = page_number(query, "Page", 0), query.get("PageToken", "")
    if number and not token:
        # pages by number alone are no longer served
        raise Refusal(400, 20006, "Page number out of range")
    sids = [key(item) for item in items]
    start = sids.index(token[2:]) + 1 if token[2:] in sids else 0 if not token else len(items)
    shown = items[start : start + size]

    def uri(of: int, behind: str = "") -> str:
        more = {"PageToken": f"PA{behind}"} if behind else {}
        kept = {key: value for key, value in query.items() if key != "PageToken"}
        return f"{path}?{urlencode({**kept, 'PageSize': size, 'Page': of, **more})}"

    return {
        name: [to_json(item) for item in shown],
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "uri": uri(number, token[2:]),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, sids[start + size - 1])
        if start + size < len(items)
        else None,
        "previous_page_uri": None,
    }
