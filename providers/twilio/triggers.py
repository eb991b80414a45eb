"""Usage triggers: Twilio calls a URL when a subaccount's day has cost a sum.

Sources: Twilio's page "Usage Triggers" and its OpenAPI `twilio_api_v2010.json`: evaluated about once
a minute, fired once in each period; the value of a trigger cannot be changed, only its address and
name. Read and made with the parent's credentials.
"""

from collections.abc import Sequence
from typing import Any

from domain import money
from domain.carrier.tripwire import Trigger
from domain.money import BadAmount
from providers.errors import NotFound, ProviderUnavailable
from providers.twilio.callbacks import Params, form_of
from providers.twilio.reading import SID
from providers.twilio.wire import answer_of

NAME = "tollgate tripwire"
PATH = "/webhooks/twilio/usage"


def usage_callback_url(public_url: str) -> str:
    return public_url + PATH


class UsageTriggers:
    """Of an account of the SDK: those with our name, of a day's total price."""

    def __init__(self, account: Any) -> None:
        self._usage = account.usage

    async def list(self) -> Sequence[Trigger]:
        page = await answer_of(
            lambda: self._usage.triggers.page_async(
                recurring="daily", trigger_by="price", usage_category="totalprice", page_size=1000
            )
        )
        return [_trigger(item) for item in page if item.friendly_name == NAME]

    async def create(self, value_micros: int, callback_url: str) -> Trigger:
        return _trigger(
            await answer_of(
                lambda: self._usage.triggers.create_async(
                    callback_url=callback_url,
                    callback_method="POST",
                    trigger_value=money.to_decimal_string(value_micros),
                    usage_category="totalprice",
                    recurring="daily",
                    trigger_by="price",
                    friendly_name=NAME,
                )
            )
        )

    async def delete(self, sid: str) -> None:
        """One that is gone already is deleted, too."""
        if not SID.fullmatch(sid):
            raise NotFound(f"{sid!r} is not a Twilio sid", code="NOT_A_SID")
        try:
            await answer_of(lambda: self._usage.triggers(sid).delete_async())
        except NotFound:
            return


def _trigger(item: Any) -> Trigger:
    try:
        value = money.parse_micros(str(item.trigger_value))
        current = money.parse_micros(str(item.current_value or "0"))
    except BadAmount as error:
        raise ProviderUnavailable(
            f"Twilio returned a usage trigger that cannot be read: {error}", code="UNREADABLE"
        ) from error
    return Trigger(
        sid=item.sid or "",
        value_micros=value,
        callback_url=item.callback_url or "",
        current_micros=current,
    )


def parse_trigger(params: Params) -> tuple[str, str] | None:
    """The account and the trigger that a callback names; None if it is none of a trigger. What it
    says besides is not believed: whoever has the subaccount's token can sign one.
    """
    fields = dict(form_of(params) or ())
    account_sid, trigger_sid = fields.get("AccountSid", ""), fields.get("UsageTriggerSid", "")
    if not SID.fullmatch(account_sid) or not SID.fullmatch(trigger_sid):
        return None
    return account_sid, trigger_sid
