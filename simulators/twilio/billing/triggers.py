"""Usage Triggers: call a URL when the usage of a category reaches a value, once in each period.

Source: Twilio's page of Usage Triggers and its OpenAPI description. They are evaluated about once a
minute, on the same lagging records that the API shows. `TriggerValue` is a number above 0, or `+n`
for n more than the present value; Twilio documents no percentage. An account may have 1,000.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from simulators.twilio.answers import API, Answer, Refusal, not_found, ok, page_json
from simulators.twilio.billing.usage_records import Period, Usage, dollars
from simulators.twilio.callbacks import Callbacks
from simulators.twilio.parameters import choice, invalid, required, url
from simulators.twilio.state import Account, State, rfc2822

_VALUE = re.compile(r"\+?\d{1,12}(\.\d{1,6})?")
_RECURRING = ("", "daily", "monthly", "yearly", "alltime")
_BY = ("count", "usage", "price")
_MOST = 1000
Measure = Callable[[Account, str, Period], Usage]


@dataclass(slots=True, kw_only=True)
class Trigger:
    """`fired_in` is the first day of the period in which it fired last."""

    sid: str
    account_sid: str
    friendly_name: str
    usage_category: str
    trigger_by: str
    trigger_value: Decimal
    recurring: str
    callback_url: str
    created: float
    updated: float
    current_value: Decimal = Decimal(0)
    fired: float | None = None
    fired_in: date | None = None


class Triggers:
    def __init__(self, state: State, callbacks: Callbacks, measure: Measure) -> None:
        self.state = state
        self.callbacks = callbacks
        self.measure = measure
        self._triggers: dict[str, Trigger] = {}

    def clear(self) -> None:
        self._triggers.clear()

    def answer(
        self, account: Account, method: str, sid: str | None, path: str, given: Mapping[str, str]
    ) -> Answer:
        if sid is None:
            if method == "POST":
                return ok(_json(self._create(account, given)), 201)
            return ok(
                page_json("usage_triggers", path, dict(given), self._list(account, given), _json)
            )
        trigger = self._triggers.get(sid)
        if trigger is None or trigger.account_sid != account.sid:
            raise not_found(path)
        if method == "DELETE":
            del self._triggers[sid]
            return Answer(204, b"")
        if method == "POST":
            self._update(trigger, given)
        return ok(_json(trigger))

    def evaluate(self) -> int:
        """Fire every trigger whose value is reached; returns how many fired."""
        return sum(self._evaluate(trigger) for trigger in tuple(self._triggers.values()))

    def _evaluate(self, trigger: Trigger) -> bool:
        account = self.state.accounts[trigger.account_sid]
        period = self._period(trigger.recurring)
        trigger.current_value = self._value(account, trigger, period)
        if trigger.fired_in == period.start or trigger.current_value < trigger.trigger_value:
            return False
        trigger.fired, trigger.fired_in = self.state.clock.now(), period.start
        self.callbacks.post(
            account.sid, trigger.sid, "usage", trigger.callback_url, self._params(trigger)
        )
        return True

    def _period(self, recurring: str) -> Period:
        today = self.state.clock.today()
        starts = {"daily": today, "monthly": today.replace(day=1)}
        starts["yearly"] = today.replace(month=1, day=1)
        return Period(starts.get(recurring, date(1970, 1, 1)), today)

    def _value(self, account: Account, trigger: Trigger, period: Period) -> Decimal:
        usage = self.measure(account, trigger.usage_category, period)
        price = Decimal(usage.price_micros) / 1_000_000
        if trigger.trigger_by == "price" or trigger.usage_category == "totalprice":
            return price  # the total's usage is its price
        return Decimal(usage.count if trigger.trigger_by == "count" else usage.usage)

    def _create(self, account: Account, given: Mapping[str, str]) -> Trigger:
        if sum(each.account_sid == account.sid for each in self._triggers.values()) >= _MOST:
            raise Refusal(400, 20001, f"An account can have {_MOST} usage triggers")
        value = required(given, "TriggerValue")
        if not _VALUE.fullmatch(value):
            raise invalid("TriggerValue", value)
        now = self.state.clock.now()
        trigger = Trigger(
            sid=self.state.new_sid("UT"),
            account_sid=account.sid,
            friendly_name=_friendly_name(given, ""),
            usage_category=required(given, "UsageCategory"),
            trigger_by=choice(given, "TriggerBy", _BY, "usage"),
            trigger_value=Decimal(value),
            recurring=choice(given, "Recurring", _RECURRING, ""),
            callback_url=_callback(given),
            created=now,
            updated=now,
        )
        period = self._period(trigger.recurring)
        trigger.current_value = self._value(account, trigger, period)
        if value.startswith("+"):
            trigger.trigger_value += trigger.current_value
        if trigger.trigger_value <= 0:
            raise invalid("TriggerValue", value)
        self._triggers[trigger.sid] = trigger
        return trigger

    def _update(self, trigger: Trigger, given: Mapping[str, str]) -> None:
        if "CallbackUrl" in given:
            trigger.callback_url = _callback(given)
        trigger.friendly_name = _friendly_name(given, trigger.friendly_name)
        trigger.updated = self.state.clock.now()

    def _list(self, account: Account, given: Mapping[str, str]) -> list[Trigger]:
        by = choice(given, "TriggerBy", ("", *_BY), "")
        recurring = choice(given, "Recurring", _RECURRING, "")
        filtered = {"alltime": ""}.get(recurring, recurring) if "Recurring" in given else None
        return [
            trigger
            for trigger in reversed(self._triggers.values())
            if trigger.account_sid == account.sid
            and by in ("", trigger.trigger_by)
            and filtered in (None, trigger.recurring.replace("alltime", ""))
            and given.get("UsageCategory") in (None, "", trigger.usage_category)
        ]

    def _params(self, trigger: Trigger) -> dict[str, str]:
        return {
            "AccountSid": trigger.account_sid,
            "UsageTriggerSid": trigger.sid,
            "DateFired": rfc2822(trigger.fired) or "",
            "Recurring": trigger.recurring,
            "UsageCategory": trigger.usage_category,
            "TriggerBy": trigger.trigger_by,
            "TriggerValue": _plain(trigger.trigger_value),
            "CurrentValue": _plain(trigger.current_value),
            "UsageRecordUri": _record_uri(trigger),
            "IdempotencyToken": f"{trigger.sid}-{trigger.fired_in}",
        }


def _callback(given: Mapping[str, str]) -> str:
    """Twilio also calls with GET; the simulator only posts, and says so."""
    method = choice(given, "CallbackMethod", ("POST", "GET"), "POST")
    if method == "GET":
        raise Refusal(400, 20001, "The simulator calls usage triggers with POST only")
    return url(given, "CallbackUrl")


def _friendly_name(given: Mapping[str, str], default: str) -> str:
    name = given.get("FriendlyName", default)
    if len(name) > 64:
        raise invalid("FriendlyName", name)
    return name


def _plain(value: Decimal) -> str:
    return dollars(int(value * 1_000_000))


def _record_uri(trigger: Trigger) -> str:
    named = {"daily": "/Today", "monthly": "/ThisMonth"}.get(trigger.recurring, "")
    base = f"{API}/Accounts/{trigger.account_sid}/Usage/Records{named}.json"
    return f"{base}?Category={trigger.usage_category}"


def _json(trigger: Trigger) -> dict[str, Any]:
    return {
        "account_sid": trigger.account_sid,
        "api_version": "2010-04-01",
        "callback_method": "POST",
        "callback_url": trigger.callback_url,
        "current_value": _plain(trigger.current_value),
        "date_created": rfc2822(trigger.created),
        "date_fired": rfc2822(trigger.fired),
        "date_updated": rfc2822(trigger.updated),
        "friendly_name": trigger.friendly_name,
        "recurring": trigger.recurring or None,
        "sid": trigger.sid,
        "trigger_by": trigger.trigger_by,
        "trigger_value": _plain(trigger.trigger_value),
        "uri": f"{API}/Accounts/{trigger.account_sid}/Usage/Triggers/{trigger.sid}.json",
        "usage_category": trigger.usage_category,
        "usage_record_uri": _record_uri(trigger),
    }
