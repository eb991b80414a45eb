"""Recordings of an account: listed, shown and deleted by `Recordings`; stored for a fee.

Sources: Twilio's OpenAPI description of the API of 2010; support article 360010066814 (storage goes
on until they are deleted by hand). Storage is charged by the month for each minute that has begun;
the first month is charged at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.twilio.answers import API, Answer, not_found, ok, page_json
from simulators.twilio.billing.billing import Billing
from simulators.twilio.state import Account, State, rfc2822

STORAGE = "recordingstorage"


@dataclass(slots=True, kw_only=True)
class Recording:
    sid: str
    account_sid: str
    call_sid: str
    seconds: int
    created: float


class Recordings:
    def __init__(self, state: State, billing: Billing) -> None:
        self.state = state
        self.billing = billing
        self.stored: dict[str, Recording] = {}

    def clear(self) -> None:
        self.stored.clear()

    def answer(
        self, account: Account, method: str, sid: str, path: str, given: Mapping[str, str]
    ) -> Answer:
        own = [each for each in self.stored.values() if each.account_sid == account.sid]
        if not sid and method == "GET":
            wanted = given.get("CallSid")
            listed = [each for each in reversed(own) if wanted in (None, each.call_sid)]
            return ok(page_json("recordings", path, dict(given), listed, _json))
        found = next((each for each in own if each.sid == sid), None)
        if found is None or method not in ("GET", "DELETE"):
            raise not_found(path)
        if method == "DELETE":
            del self.stored[found.sid]
            self.billing.end_fee(found.sid)
            return Answer(204, b"")
        return ok(_json(found))

    def store(self, account: Account, seconds: int) -> Recording:
        recording = Recording(
            sid=self.state.new_sid("RE"),
            account_sid=account.sid,
            call_sid=self.state.new_sid("CA"),
            seconds=seconds,
            created=self.state.clock.now(),
        )
        self.stored[recording.sid] = recording
        minutes = max(1, -(-seconds // 60))
        self.billing.start_fee(account.sid, STORAGE, recording.sid, units=minutes)
        return recording


def _json(each: Recording) -> dict[str, Any]:
    at = rfc2822(each.created)
    return {
        "account_sid": each.account_sid,
        "api_version": "2010-04-01",
        "call_sid": each.call_sid,
        "channels": 1,
        "conference_sid": None,
        "date_created": at,
        "date_updated": at,
        "duration": str(each.seconds),
        "encryption_details": None,
        "error_code": None,
        "price": None,
        "price_unit": "USD",
        "sid": each.sid,
        "source": "OutboundAPI",
        "start_time": at,
        "status": "completed",
        "track": "both",
        "uri": f"{API}/Accounts/{each.account_sid}/Recordings/{each.sid}.json",
    }
