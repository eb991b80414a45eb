"""Signed status callbacks, sent in the background, and what can go wrong with them."""

import asyncio
import hmac
import random
from base64 import b64encode
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urldefrag, urlencode

from simulators.posting import Posted, Poster
from simulators.twilio.state import CallbackRecord, SentMessage, State

KINDS = ("lost", "duplicate", "delayed", "reordered")


@dataclass(slots=True, kw_only=True)
class CallbackFault:
    """`status` limits it to one MessageStatus. `reordered` holds a callback back behind the next, or for `seconds`."""

    id: int
    kind: str
    status: str | None
    times: int | None
    probability: float
    copies: int
    seconds: float
    chance: random.Random
    hits: int = 0

    def strikes(self, status: str) -> bool:
        if self.status not in (None, status) or (self.times is not None and self.hits >= self.times):
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class Callback:
    account_sid: str
    message_sid: str
    status: str
    url: str
    body: bytes
    headers: dict[str, str]


def sign(auth_token: str, url: str, params: dict[str, str]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1 over the full URL and each sorted name and value."""
    text = url + "".join(name + params[name] for name in sorted(params))
    return b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode()


class Callbacks:
    """Sends what `notify` is given, at most `limit` at a time; records every outcome in the state."""

    def __init__(self, state: State, *, limit: int = 64) -> None:
        self.state = state
        self.faults: list[CallbackFault] = []
        self.held: list[Callback] = []
        self._limit = limit
        self._poster: Poster | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[Callback] = []
        self._numbers = count(1)

    def start(self) -> None:
        self._poster = Poster(limit=self._limit, timeout=self.state.behaviour.callback_timeout)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poster is not None:
            await self._poster.close()

    @property
    def pending(self) -> int:
        return len(self._tasks) + len(self._overtaken)

    def add_fault(
        self,
        kind: str,
        *,
        status: str | None = None,
        times: int | None = None,
        probability: float = 1.0,
        copies: int = 2,
        seconds: float = 1.0,
        seed: int = 0,
    ) -> CallbackFault:
        if kind not in KINDS:
            raise ValueError(f"unknown callback fault {kind!r}; known: {KINDS}")
        fault = CallbackFault(
            id=next(self._numbers),
            kind=kind,
            status=status,
            times=times,
            probability=probability,
            copies=copies,
            seconds=seconds,
            chance=random.Random(seed),  # noqa: S311 - chance, not a secret
        )
        self.faults.append(fault)
        return fault

    def notify(self, message: SentMessage) -> None:
        """Tell the message's StatusCallback its present status; returns at once."""
        if message.callback_url is None:
            return
        callback = self._callback(message, message.callback_url)
        fault = next((each for each in self.faults if each.strikes(callback.status)), None) if self.faults else None
        match fault.kind if fault else None:
            case "lost":
                self.state.callback_counts["lost"] += 1
            case "duplicate":
                for _ in range(fault.copies if fault else 1):
                    self._send(callback)
            case "delayed":
                asyncio.get_running_loop().call_later(fault.seconds if fault else 0, self._send, callback)
            case "reordered":
                self._overtaken.append(callback)
                asyncio.get_running_loop().call_later(fault.seconds if fault else 0, self._release, callback)
            case _:
                self._send(callback)
                for waiting in tuple(self._overtaken):
                    self._release(waiting)

    def _release(self, callback: Callback) -> None:
        if callback in self._overtaken:
            self._overtaken.remove(callback)
            self._send(callback)

    def _callback(self, message: SentMessage, url: str) -> Callback:
        target, _ = urldefrag(url)  # a fragment overrides connection settings and is never sent
        params = self._params(message)
        token = self.state.accounts[message.account_sid].auth_token
        headers = {
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-twilio-signature": sign(token, target, params),
            "i-twilio-idempotency-token": self.state.new_sid("IT"),
            "user-agent": "TwilioProxy/1.1",
            "accept": "*/*",
        }
        return Callback(message.account_sid, message.sid, message.status, target, urlencode(params).encode(), headers)

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
        behaviour = self.state.behaviour
        posted = Posted(0, 0.0)
        tries = 0
        while tries < behaviour.callback_tries:
            tries += 1
            posted = await self._poster.post(callback.url, callback.body, callback.headers)
            again = not posted.connected or (behaviour.callback_retry_statuses and not posted.ok)
            if not again:
                break
            await asyncio.sleep(0.05 * tries)
        self._record(callback, posted, tries)

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

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"id": each.id, "kind": each.kind, "status": each.status, "times": each.times, "hits": each.hits}
            for each in self.faults
        ]
