"""Twilio's REST API, 2010-04-01: credentials, accounts and messages."""

import operator
import time
from base64 import b64decode
from datetime import UTC, datetime
from functools import partial

from simulators.twilio.answers import (
    API,
    Answer,
    Refusal,
    account_json,
    message_json,
    not_found,
    ok,
    page_json,
    shown_to,
)
from simulators.twilio.billing.billing import Billing
from simulators.twilio.billing.numbers import Numbers
from simulators.twilio.billing.recordings import Recordings
from simulators.twilio.billing.short_codes import ShortCodes
from simulators.twilio.billing.v1 import PREFIXES, NewerApis
from simulators.twilio.messages import Messages
from simulators.twilio.parameters import Call, form
from simulators.twilio.state import Account, Behaviour, SentMessage, State

_STATUSES = ("active", "suspended", "closed")


class Api:
    """Answers one request at a time; `answer` never waits, so a request is one step of the event
    loop.
    """

    def __init__(
        self,
        *,
        state: State,
        messages: Messages,
        billing: Billing,
        numbers: Numbers,
        short_codes: ShortCodes,
        recordings: Recordings,
        newer: NewerApis,
    ) -> None:
        self.state = state
        self.messages = messages
        self.billing = billing
        self.numbers = numbers
        self.short_codes = short_codes
        self.recordings = recordings
        self.newer = newer

    def answer(self, method: str, path: str, query: str, authorization: str, body: bytes) -> Answer:
        try:
            caller = self._authenticate(authorization)
            return self._route(caller, method, path, query, body)
        except Refusal as refusal:
            return refusal.answer()

    def _authenticate(self, authorization: str) -> Account:
        refused = Refusal(401, 20003, "Authenticate")
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            raise refused
        try:
            sid, _, token = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            raise refused from None
        account = self.state.accounts.get(sid)
        if account is None or account.status == "closed":
            raise refused
        if token not in (account.auth_token, account.secondary_token):
            raise refused
        return account

    def _route(self, caller: Account, method: str, path: str, query: str, body: bytes) -> Answer:
        if path.startswith(PREFIXES):
            return self._newer(caller, method, path, query, body)
        if not path.endswith(".json"):
            raise not_found(path)
        parts = path[len(API) + 1 : -5].split("/")
        kind = "/".join("{sid}" if place % 2 else part for place, part in enumerate(parts))
        self.state.calls[f"{method} {kind}"] += 1
        match parts:
            case ["Accounts"]:
                return self._accounts(caller, method, path, query, body)
            case ["Accounts", sid]:
                return self._account(caller, self._owned(caller, sid, path), method, body)
            case ["Accounts", sid, "Messages"] if method == "POST":
                return self._send(self._owned(caller, sid, path), body)
            case ["Accounts", sid, "Messages"]:
                return self._list_messages(self._readable(caller, sid, path), path, query)
            case ["Accounts", sid, "Messages", message_sid]:
                return self._message(
                    self._readable(caller, sid, path), message_sid, method, path, body
                )
            case ["Accounts", sid, *rest]:
                given = form(body.decode() if method == "POST" else query)
                return self._billed(caller, sid, rest, method, path, given)
        raise not_found(path)

    def _newer(self, caller: Account, method: str, path: str, query: str, body: bytes) -> Answer:
        version, room = path.split("/")[1:3]
        self.state.calls[f"{method} /{version}/{room}"] += 1
        if room in ("Services", "AuthTokens"):
            self._must_be_active(caller)
        text = body.decode() if method == "POST" else query
        call = Call(method=method, base=self.newer.url(), path=path, text=text)
        return self.newer.answer(caller, call)

    def _billed(
        self,
        caller: Account,
        sid: str,
        parts: list[str],
        method: str,
        path: str,
        given: dict[str, str],
    ) -> Answer:
        """Balance, numbers, short codes, recordings, usage records and triggers. Of a suspended
        account, only the main account changes anything.
        """
        account = self._readable(caller, sid, path)
        if caller is account and method != "GET":
            self._must_be_active(account)
        match parts:
            case ["Balance"]:
                return self.billing.balance(account, path)
            case ["IncomingPhoneNumbers", *rest] if len(rest) < 2:
                return self.numbers.answer(account, method, "".join(rest) or None, path, given)
            case ["SMS", "ShortCodes", *rest] if len(rest) < 2:
                return self.short_codes.answer(account, method, "".join(rest), path, given)
            case ["Recordings", *rest] if len(rest) < 2:
                return self.recordings.answer(account, method, "".join(rest), path, given)
            case ["Usage", "Records", *rest] if method == "GET" and len(rest) < 2:
                return self.billing.records(account, "".join(rest), path, given)
            case ["Usage", "Triggers", *rest] if len(rest) < 2:
                triggers = self.billing.triggers
                return triggers.answer(account, method, "".join(rest) or None, path, given)
        raise not_found(path)

    def _owned(self, caller: Account, sid: str, path: str) -> Account:
        """A main account may act on its own subaccounts, a subaccount on itself."""
        account = self.state.accounts.get(sid)
        if account is None or (caller is not account and caller.sid != account.owner):
            raise not_found(path)
        return account

    def _readable(self, caller: Account, sid: str, path: str) -> Account:
        account = self._owned(caller, sid, path)
        if caller is account and not self.state.behaviour.suspended_reads:
            self._must_be_active(account)
        return account

    def _must_be_active(self, account: Account) -> None:
        code = self.state.inactive(account)
        if code is not None:
            self.state.refused[code] += 1
            status = 401 if code == 20003 else 403
            raise Refusal(
                status, code, "Account not active" if code == 20005 else "Account is not active"
            )

    def _send(self, account: Account, body: bytes) -> Answer:
        self._must_be_active(account)
        return ok(
            message_json(self.messages.accept(account, _form(body)), self.state.behaviour), 201
        )

    def _accounts(self, caller: Account, method: str, path: str, query: str, body: bytes) -> Answer:
        if caller.owner != caller.sid:
            raise Refusal(403, 20403, "Only the main account can manage subaccounts")
        if method == "POST":
            self._must_be_active(caller)
            name = (
                _form(body).get("FriendlyName")
                or f"SubAccount Created at {datetime.now(UTC):%Y-%m-%d %H:%M %p}"
            )
            opened = self.state.open_account(name, owner=caller.sid)
            return ok(account_json(self.state, opened), 201)
        wanted = _form(query.encode())
        matches = [
            account
            for account in reversed(self.state.accounts.values())
            if account.owner == caller.sid
            and wanted.get("FriendlyName") in (None, account.friendly_name)
            and wanted.get("Status") in (None, self.state.status_of(account))
        ]
        return ok(page_json("accounts", path, wanted, matches, partial(account_json, self.state)))

    def _account(self, caller: Account, account: Account, method: str, body: bytes) -> Answer:
        if method == "POST":
            self._update_account(caller, account, _form(body))
        return ok(account_json(self.state, account))

    def _update_account(self, caller: Account, account: Account, form: dict[str, str]) -> None:
        status = form.get("Status")
        if status is not None:
            self._may_change_status(caller, account, status)
            self.set_status(account, status)
        account.friendly_name = form.get("FriendlyName", account.friendly_name)
        account.updated = time.time()

    def _may_change_status(self, caller: Account, account: Account, status: str) -> None:
        if status not in _STATUSES:
            raise Refusal(400, 20001, f"Invalid Status: {status}")
        if account.owner == account.sid:
            raise Refusal(
                400, 20001, "The status of the main account cannot be changed through the API"
            )
        if caller.sid != account.owner:
            raise Refusal(403, 20403, "Only the main account can change the status of a subaccount")
        if self.state.inactive(caller) is not None:
            raise Refusal(
                400, 21476, "Account status cannot be changed: the parent account is suspended"
            )
        if account.status == "closed":
            raise Refusal(400, 21479, "Account status cannot be changed: the account is closed")
        if account.held_by_twilio and status == "active":
            raise Refusal(
                400, 21478, "Account status cannot be changed: the account was suspended by Twilio"
            )

    def set_status(self, account: Account, status: str) -> int:
        """Returns how many queued messages failed for it."""
        account.status = status
        account.updated = time.time()
        self.state.status_changes.append((account.sid, status))
        return 0 if status == "active" else self.messages.fail_queued(account)

    def _message(
        self, account: Account, message_sid: str, method: str, path: str, body: bytes
    ) -> Answer:
        message = self.state.messages.get(message_sid)
        if message is None or message.account_sid != account.sid:
            raise not_found(path)
        if method == "DELETE":
            self.messages.delete(message)
            return Answer(204, b"")
        if method == "POST":
            form = _form(body)
            if ("Status" in form) == ("Body" in form) or form.get(
                "Status", "canceled"
            ) != "canceled":
                raise Refusal(400, 30400, "Parameters are not valid")
            if "Status" in form:
                self.messages.cancel(message)
            else:
                self.messages.redact(message, form["Body"])
        return ok(message_json(message, self.state.behaviour))

    def _list_messages(self, account: Account, path: str, query: str) -> Answer:
        wanted = _form(query.encode())
        behaviour = self.state.behaviour
        matches = [each for each in reversed(account.messages) if _matches(each, wanted, behaviour)]
        matches.sort(key=lambda each: each.sent or each.created, reverse=True)
        return ok(
            page_json("messages", path, wanted, matches, lambda each: message_json(each, behaviour))
        )


def _form(body: bytes) -> dict[str, str]:
    return form(body.decode())


def _matches(message: SentMessage, wanted: dict[str, str], behaviour: Behaviour) -> bool:
    """DateSent filters by day (GMT), and never finds a message that was not sent yet; To finds no
    masked number.
    """
    to = wanted.get("To")
    if to is not None and _digits(to) != _digits(shown_to(message, behaviour)):
        return False
    if wanted.get("From") not in (None, message.sender):
        return False
    day = (
        None
        if message.sent is None
        else datetime.fromtimestamp(message.sent, UTC).date().isoformat()
    )
    return all(
        day is not None and fits(day, wanted[name][:10])
        for name, fits in (
            ("DateSent", operator.eq),
            ("DateSent<", operator.le),
            ("DateSent>", operator.ge),
        )
        if name in wanted
    )


def _digits(number: str) -> str:
    return "".join(character for character in number if character.isalnum())
