"""Inbound messages: what Twilio does with one, and whom it tells.

Sources: Twilio's OpenAPI descriptions (a number's `sms_url`, a Messaging Service's
`inbound_request_url`: "When this property is null, receiving inbound messages is disabled. All
messages … will not be logged and received on the Account"; `use_inbound_webhook_on_number` prefers
the number's), its pages "Twilio's request to your incoming message Webhook URL" (parameters),
"Availability and Reliability" (the fallback gets `ErrorCode` and `ErrorUrl`, at once), and of the
errors 11200, 11205 and 21406. The simulator does not read the TwiML of a response.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulators.posting import Posted
from simulators.twilio.answers import Refusal
from simulators.twilio.billing.charges import receive
from simulators.twilio.callbacks import Callbacks, Failed
from simulators.twilio.parameters import url
from simulators.twilio.state import Account, SentMessage, State

FieldsOf = Callable[[Account, str], Mapping[str, str]]
SMS_FIELDS = {
    "SmsFallbackMethod": "sms_fallback_method",
    "SmsFallbackUrl": "sms_fallback_url",
    "SmsMethod": "sms_method",
    "SmsUrl": "sms_url",
}


def change(fields: dict[str, str], given: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Write the given parameters, by the names of the resource's fields."""
    changed = dict(fields)
    for name, written in known.items():
        if name in given:
            if name.endswith("Method") and given[name] not in ("GET", "POST"):
                raise Refusal(400, 20001, f"Invalid {name}: {given[name]}")
            if name.endswith("Method") and given[name] == "GET":
                raise Refusal(400, 20001, "The simulator calls webhooks with POST only")
            if name.endswith("Url") and given[name]:
                url(given, name)
            changed[written] = given[name]
    if changed.get("sms_fallback_url") and not changed.get("sms_url"):
        raise Refusal(400, 21406, "Cannot set SmsFallbackUrl without setting SmsUrl")
    fields.update(changed)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where an inbound message is handed over; without a `url` nowhere."""

    url: str = ""
    fallback: str = ""
    service_sid: str | None = None


class Inbound:
    """`fields_of` has the webhooks of a number or short code."""

    def __init__(self, state: State, callbacks: Callbacks, fields_of: FieldsOf) -> None:
        self.state = state
        self.callbacks = callbacks
        self.fields_of = fields_of

    def receive(
        self, account: Account, to: str, sender: str, body: str, *, media: bool
    ) -> SentMessage | None:
        """None if it is not received: the account is suspended, or its service takes none."""
        webhook = self._webhook(account, to)
        if webhook is None:
            return None
        message = receive(self.state, account, to, sender, body, media=media)
        if message is not None and webhook.url:
            message.service_sid = webhook.service_sid
            self._hand_over(message, webhook)
        return message

    def _webhook(self, account: Account, to: str) -> Webhook | None:
        own = self.fields_of(account, to)
        on_number = Webhook(own.get("sms_url", ""), own.get("sms_fallback_url", ""))
        for sid, pool in account.services.items():
            if to not in pool:
                continue
            settings: Mapping[str, Any] = account.service_settings.get(sid, {})
            if settings.get("use_inbound_webhook_on_number", False):
                return Webhook(on_number.url, on_number.fallback, sid)
            if not settings.get("inbound_request_url"):
                return None
            return Webhook(settings["inbound_request_url"], settings.get("fallback_url") or "", sid)
        return on_number

    def _hand_over(self, message: SentMessage, webhook: Webhook) -> None:
        params = _params(message)
        again = partial(self._fall_back, message, webhook, params) if webhook.fallback else None
        self._post(message, webhook.url, params, again)

    def _fall_back(
        self, message: SentMessage, webhook: Webhook, params: dict[str, str], posted: Posted
    ) -> None:
        code = "11200" if posted.connected else "11205"
        self._post(
            message, webhook.fallback, {**params, "ErrorCode": code, "ErrorUrl": webhook.url}
        )

    def _post(
        self,
        message: SentMessage,
        address: str,
        params: dict[str, str],
        failed: Failed | None = None,
    ) -> None:
        self.callbacks.post(
            message.account_sid, message.sid, "received", address, params, failed=failed
        )


def _params(message: SentMessage) -> dict[str, str]:
    service = {} if message.service_sid is None else {"MessagingServiceSid": message.service_sid}
    return {
        "AccountSid": message.account_sid,
        "ApiVersion": "2010-04-01",
        "Body": message.body,
        "From": message.sender or "",
        "MessageSid": message.sid,
        "NumMedia": "1" if message.channel == "mms" else "0",
        "NumSegments": str(message.segments),
        "SmsMessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "To": message.to,
        **service,
    }
