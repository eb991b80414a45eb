"""Accepts messages, as `POST Messages` does, and advances them: queued, sending, sent, delivered or
failed.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from functools import partial

from simulators.twilio import senders
from simulators.twilio.answers import Refusal
from simulators.twilio.billing.charges import charge_failed, charge_sent
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.segments import count_segments
from simulators.twilio.senders import TEST_NUMBER
from simulators.twilio.smart_encoding import encode_smartly
from simulators.twilio.state import LONGEST_VALIDITY, Account, SentMessage, State

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_QUEUED = ("accepted", "queued")
_TEXTS = {
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21211: "The 'To' number {to} is not a valid phone number.",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' "
    "number: {to}",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The From phone number {sender} is not a valid, SMS-capable inbound phone number of "
    "your account.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21612: "Message cannot be sent with the current combination of 'To' ({to}) and/or 'From' "
    "({sender}) parameters",
    21614: "'To' number: {to}, is not a valid mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21624: "The ValidityPeriod is invalid: an integer from 1 to 36000",
    21659: "'From' {sender} is not a Twilio phone number or Short Code country mismatch",
    21660: "Mismatch between the 'From' number {sender} and the account",
    21661: "'From' number {sender} is not SMS-capable",
    21701: "The Messaging Service does not exist",
    21704: "The Messaging Service contains no phone numbers",
    63038: "Account exceeded the daily messages limit",
    21212: "The 'From' number {sender} is not a valid phone number, shortcode, or alphanumeric "
    "sender ID.",
    30001: "Queue overflow",
}
_STATUSES = {20404: 404, 20429: 429, 63038: 429}
_MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
_MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}


def _e164(number: str) -> str:
    """Twilio accepts a number as people write it, and returns it in E.164."""
    return re.sub(r"[\s().-]", "", number) if number.strip().startswith("+") else number


def _bad_validity(form: Mapping[str, str]) -> int | None:
    """Twilio's page of error 21624."""
    given = form.get("ValidityPeriod", "1")
    whole = given.isascii() and given.isdigit()
    return None if whole and 1 <= int(given) <= LONGEST_VALIDITY else 21624


def _validity(account: Account, service: str | None, form: Mapping[str, str]) -> int:
    """The shorter one of the message's and of its service's (Twilio's page of error 30036)."""
    settings = account.service_settings.get(service or "", {})
    return min(
        int(form.get("ValidityPeriod", LONGEST_VALIDITY)),
        int(settings.get("validity_period", LONGEST_VALIDITY)),
    )


class Messages:
    """The progress of every message, driven by timers; a suspension fails queued messages."""

    def __init__(self, state: State, callbacks: Callbacks) -> None:
        self.state = state
        self.callbacks = callbacks

    def accept(self, account: Account, form: Mapping[str, str]) -> SentMessage:
        """Accept the message or raise the refusal; of a refused one, only the code is recorded."""
        to, body = _e164(form.get("To", "")), form.get("Body", "")
        sender, service = form.get("From") or None, form.get("MessagingServiceSid") or None
        if service is not None and self.state.behaviour.smart_encoding:
            body = encode_smartly(body)
        code = self._refusal(account, to, sender, service, body or form.get("MediaUrl", ""))
        code = code or _bad_validity(form)
        if code is not None:
            raise self.refusal(code, to=to, sender=sender)
        now = self.state.clock.now()
        media = bool(form.get("MediaUrl"))
        scheduled = form.get("ScheduleType") == "fixed" and "SendAt" in form
        message = SentMessage(
            sid=self.state.new_sid("MM" if media else "SM"),
            account_sid=account.sid,
            to=to,
            sender=sender,
            service_sid=service,
            body=body,
            segments=count_segments(body),
            status="scheduled" if scheduled else "accepted" if service else "queued",
            callback_url=form.get("StatusCallback") or None,
            created=now,
            accepted_at=time.monotonic(),
            updated=now,
            channel=self._channel(account, service, media=media),
            validity=_validity(account, service, form),
        )
        self.state.record(message)
        if not scheduled:
            waits = min(self.state.behaviour.sending_after, message.validity)
            self._later(waits, self._sending, message)
        return message

    def refusal(self, code: int, *, to: str = "", sender: str | None = None) -> Refusal:
        self.state.refused[code] += 1
        text = _TEXTS.get(code, f"Error {code}")
        return Refusal(_STATUSES.get(code, 400), code, text.format(to=to, sender=sender))

    def cancel(self, message: SentMessage) -> None:
        """Only a scheduled message can be canceled (Twilio's page of error 30409)."""
        if message.status != "scheduled":
            raise Refusal(400, 30409, "Message is not in a cancelable state")
        self._move(message, "canceled")
        self._leave_queue(message)
        self.callbacks.notify(message)

    def redact(self, message: SentMessage, body: str) -> None:
        """Erase the body: only with an empty one, and when the message is final (Twilio's pages of
        30400, 20009).
        """
        if body:
            raise Refusal(
                400, 30400, "Message body redaction request does not have empty Body parameter"
            )
        self._must_be_through(message)
        message.body = ""

    def delete(self, message: SentMessage) -> None:
        """The message disappears from all lists, and its sid is not found."""
        self._must_be_through(message)
        self.state.messages.pop(message.sid)
        self.state.accounts[message.account_sid].messages.remove(message)

    def _must_be_through(self, message: SentMessage) -> None:
        if message.in_progress:
            raise Refusal(409, 20009, "Cannot delete this resource before it is complete")

    def fail_queued(self, account: Account) -> int:
        """The effect of a suspension: all queued messages fail with 30002."""
        queued = [message for message in account.queued.values() if message.status in _QUEUED]
        for message in queued:
            self._fail(message, "failed", 30002)
        return len(queued)

    def _refusal(
        self, account: Account, to: str, sender: str | None, service: str | None, body: str
    ) -> int | None:
        if not to:
            return 21604
        if sender is None and service is None:
            return 21603
        if not body:
            return 21602
        if len(body) > 1600:
            return 21617
        if to in self.state.refuse_to:
            return self.state.refuse_to[to]
        if to in _MAGIC_TO:
            return _MAGIC_TO[to]
        if sender in _MAGIC_FROM:
            return _MAGIC_FROM[sender]
        if not _E164.fullmatch(to):
            return 21211
        if to in account.opted_out:
            return 21610
        return senders.refusal(self.state.accounts, account, to, sender, service)

    def _channel(self, account: Account, service: str | None, *, media: bool) -> str:
        """A service with an RCS sender in its pool tries RCS first (Twilio's page "Send and receive
        RCS messages").
        """
        pool = account.services.get(service or "", ())
        if self.state.behaviour.rcs_reaches and any(each.startswith("rcs:") for each in pool):
            return "rcs"
        return "mms" if media else "sms"

    def _from_pool(self, message: SentMessage) -> str:
        pool = self.state.accounts[message.account_sid].services.get(message.service_sid or "", ())
        if message.channel == "rcs":
            return next((each for each in pool if each.startswith("rcs:")), TEST_NUMBER)
        return TEST_NUMBER  # every pool can use this number

    def _later(
        self, seconds: float, step: Callable[[SentMessage], None], message: SentMessage
    ) -> None:
        asyncio.get_running_loop().call_later(seconds, step, message)

    def _sending(self, message: SentMessage) -> None:
        if message.status not in _QUEUED:
            return
        account = self.state.accounts.get(message.account_sid)
        if account is not None and self.state.inactive(account) is not None:
            self._fail(message, "failed", 30002)
            return
        if self.state.behaviour.sending_after > message.validity:
            self._fail(message, "failed", 30036)  # it expired in the queue
            return
        self._leave_queue(message)
        if message.sender is None:
            message.sender = self._from_pool(message)
        self._advance(message, "sending")
        self._later(self.state.behaviour.sent_after, self._sent, message)

    def _sent(self, message: SentMessage) -> None:
        ending = self._ending(message)
        if ending is not None and ending[0] == "failed":
            self._fail(message, *ending)
            return
        message.sent = self.state.clock.now()
        charge_sent(self.state, message)
        self._advance(message, "sent")
        self._later(self.state.behaviour.delivered_after, partial(self._end, ending), message)

    def _end(self, ending: tuple[str, int] | None, message: SentMessage) -> None:
        if ending is not None:
            self._fail(message, *ending)
            return
        self._advance(message, "delivered")
        self._price_later(message)

    def _ending(self, message: SentMessage) -> tuple[str, int] | None:
        behaviour = self.state.behaviour
        if message.to in self.state.fail_to:
            return self.state.fail_to[message.to]
        if behaviour.fail_share and self.state.chance.random() < behaviour.fail_share:
            return behaviour.fail_status, behaviour.fail_code
        return None

    def _fail(self, message: SentMessage, status: str, code: int) -> None:
        message.error_code = code
        self._leave_queue(message)
        self._move(message, status)
        charge_failed(self.state, message)
        self.callbacks.notify(message)
        self._price_later(message)

    def _advance(self, message: SentMessage, status: str) -> None:
        self._move(message, status)
        if status in self.state.behaviour.callback_statuses:
            self.callbacks.notify(message)

    def _move(self, message: SentMessage, status: str) -> None:
        message.status = status
        message.updated = self.state.clock.now()

    def _leave_queue(self, message: SentMessage) -> None:
        account = self.state.accounts.get(message.account_sid)
        if account is not None:
            account.queued.pop(message.sid, None)

    def _price_later(self, message: SentMessage) -> None:
        if self.state.behaviour.price_after is not None:
            asyncio.get_running_loop().call_later(
                self.state.behaviour.price_after, self.state.settle_prices, (message,)
            )
