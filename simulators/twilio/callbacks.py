"""Signed status callbacks, sent in the background, with faults on request."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urldefrag, urlencode

from simulators.delivery_faults import DeliveryFault, DeliveryFaults, Kind
from simulators.posting import Posted, Poster
from simulators.twilio.callback_records import CallbackRecord
from simulators.twilio.state import SentMessage, State

_LONGEST = 15_000
"""The most milliseconds for a response, and for all tries of a callback together."""
_SHORTEST = 100
Failed = Callable[[Posted], None]


@dataclass(frozen=True, slots=True)
class Overrides:
    """How often a callback is repeated, and after which failures: only as requested in its URL.

    Source: Twilio, "Webhooks (HTTP callbacks): Connection Overrides": `rc` is 0 to 5, 1 if it is
    not given; `rp` is one or more of 4xx, 5xx, ct, rt, or all, and `ct` if it is not given. So by
    default a callback is repeated once, and only if no connection could be made. `rt` and `tt` are
    100 to 15000 milliseconds, 15000 if they are not given: the wait for a response, and for all
    tries together. How long Twilio waits between two tries is not documented: `repeated_after` of
    the behaviour.
    """

    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    read: float = _LONGEST / 1000
    total: float = _LONGEST / 1000

    @classmethod
    def of(cls, fragment: str) -> "Overrides":
        given = dict(parse_qsl(fragment))
        retries, policy = given.get("rc", ""), frozenset(given.get("rp", "ct").split(","))
        count = int(retries) if retries.isdigit() and int(retries) <= 5 else 1
        return cls(
            count,
            policy if policy <= {"4xx", "5xx", "ct", "rt", "all"} else frozenset({"ct"}),
            _seconds(given.get("rt", "")),
            _seconds(given.get("tt", "")),
        )

    def repeats(self, posted: Posted) -> bool:
        if posted.ok:
            return False
        why = (
            "ct"
            if not posted.connected
            else "rt"
            if posted.status == 0
            else f"{posted.status // 100}xx"
        )
        return why in self.policy or "all" in self.policy


def _seconds(milliseconds: str) -> float:
    valid = milliseconds.isdigit() and _SHORTEST <= int(milliseconds) <= _LONGEST
    return (int(milliseconds) if valid else _LONGEST) / 1000


@dataclass(frozen=True, slots=True)
class Callback:
    account_sid: str
    message_sid: str
    status: str
    url: str
    body: bytes
    headers: dict[str, str]
    overrides: Overrides
    failed: Failed | None = None


def sign(auth_token: str, url: str, params: dict[str, str]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1 over the full URL and each sorted name and value."""
    text = url + "".join(name + params[name] for name in sorted(params))
    return b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()


class Callbacks:
    """Sends the callbacks given to `notify`, at most `limit` at a time; records every result in the
    state.
    """

    def __init__(self, state: State, *, limit: int = 64) -> None:
        self.state = state
        self.faults = DeliveryFaults("status")
        self.tries = 0
        self._limit = limit
        self._poster: Poster | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[Callback] = []

    def start(self) -> None:
        self._poster = Poster(limit=self._limit, timeout=_LONGEST / 1000)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poster is not None:
            await self._poster.close()

    @property
    def pending(self) -> int:
        return len(self._tasks) + len(self._overtaken)

    def notify(self, message: SentMessage) -> None:
        """Send the message's present status to its StatusCallback; returns at once."""
        if message.callback_url is None:
            return
        self.post(
            message.account_sid,
            message.sid,
            message.status,
            message.callback_url,
            self._params(message),
        )

    def post(
        self,
        account_sid: str,
        subject_sid: str,
        status: str,
        url: str,
        params: dict[str, str],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Send any signed callback; `subject_sid` and `status` are what the record of it says.
        `failed` is called when the last try fails.
        """
        callback = self._callback(account_sid, subject_sid, status, url, params)
        callback = replace(callback, failed=failed)
        fault = self.faults.strike(callback.status) if self.faults.standing else None
        if fault is not None:
            self._go_wrong(fault, callback)
            return
        self._send(callback)
        for waiting in tuple(self._overtaken):
            self._release(waiting)

    def _go_wrong(self, fault: DeliveryFault, callback: Callback) -> None:
        match fault.kind:
            case Kind.LOST:
                self.state.callback_counts["lost"] += 1
            case Kind.DUPLICATE:
                for _ in range(fault.copies):
                    self._send(callback)
            case Kind.DELAYED:
                self._later(fault.seconds, self._send, callback)
            case Kind.REORDERED:
                self._overtaken.append(callback)
                self._later(fault.seconds, self._release, callback)

    def _later(self, seconds: float, step: Callable[[Callback], None], callback: Callback) -> None:
        asyncio.get_running_loop().call_later(seconds, step, callback)

    def _release(self, callback: Callback) -> None:
        if callback in self._overtaken:
            self._overtaken.remove(callback)
            self._send(callback)

    def _callback(
        self, account_sid: str, subject_sid: str, status: str, url: str, params: dict[str, str]
    ) -> Callback:
        target, fragment = urldefrag(url)  # never sent, and not signed
        token = self.state.accounts[account_sid].auth_token
        headers = {
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": sign(token, target, params),
            "i-twilio-idempotency-token": self.state.new_sid("IT"),
            "user-agent": "TwilioProxy/1.1",
            "accept": "*/*",
        }
        body = urlencode(params).encode()
        again = Overrides.of(fragment)
        return Callback(account_sid, subject_sid, status, target, body, headers, again)

    def _params(self, message: SentMessage) -> dict[str, str]:
        params = {
            "AccountSid": message.account_sid,
            "ApiVersion": "2010-04-01",
            "From": message.sender or "",
            "MessageSid": message.sid,
            "MessageStatus": message.status,
            "SmsSid": message.sid,
            "SmsStatus": message.status,
            "To": message.to,
        }
        if message.service_sid is not None:
            params["MessagingServiceSid"] = message.service_sid
        if message.error_code is not None:
            params["ErrorCode"] = str(message.error_code)
        return params

    def _send(self, callback: Callback) -> None:
        task = asyncio.get_running_loop().create_task(self._post(callback))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, callback: Callback) -> None:
        assert self._poster is not None
        posted, clock, overrides = (
            Posted(0, 0.0),
            asyncio.get_running_loop().time,
            callback.overrides,
        )
        tries, until = 0, clock() + overrides.total
        while tries <= overrides.retries and (left := until - clock()) > 0:
            tries += 1
            posted = await self._poster.post(
                callback.url, callback.body, callback.headers, patience=min(overrides.read, left)
            )
            self.tries += 1
            if not overrides.repeats(posted):
                break
            await asyncio.sleep(self.state.behaviour.repeated_after * tries)
        self._record(callback, posted, tries)
        if callback.failed is not None and not posted.ok:
            callback.failed(posted)

    def _record(self, callback: Callback, posted: Posted, tries: int) -> None:
        self.state.callback_counts["ok" if posted.ok else "failed"] += 1
        self.state.callbacks.append(
            CallbackRecord(
                message_sid=callback.message_sid,
                account_sid=callback.account_sid,
                status=callback.status,
                url=callback.url,
                status_code=posted.status,
                seconds=posted.seconds,
                tries=tries,
            )
        )
