"""Books what Twilio charges for messages, calls, verifications and registrations.

A message is charged when it is sent; one that fails before that costs the failure fee, unless the
failure is free. Nothing that is booked here asks whether the account is suspended: who calls does.
"""

from simulators.twilio.billing.books import Entry
from simulators.twilio.billing.rates import FAILED, number_kind
from simulators.twilio.segments import count_segments
from simulators.twilio.state import Account, SentMessage, State


def charge_sent(state: State, message: SentMessage) -> None:
    rates = state.rates
    segments = message.segments if message.channel == "sms" else 1
    state.books.book(
        message.account_sid,
        rates.category_of(message),
        state.price_of(message),
        source=message.sid,
        usage=segments,
    )
    fee_category = f"{message.channel}-messages-carrierfees"
    fee = rates.prices.get(fee_category, 0) * segments
    if fee:
        state.books.book(message.account_sid, fee_category, fee, source=message.sid, usage=segments)


def charge_failed(state: State, message: SentMessage) -> None:
    fee = state.price_of(message)
    if message.status == "failed" and fee:
        state.books.book(message.account_sid, FAILED, fee, source=message.sid)


def receive(
    state: State, account: Account, to: str, sender: str, body: str, *, media: bool
) -> SentMessage | None:
    """An inbound message; a suspended account receives nothing ("cannot … receive", Twilio's page
    of subaccounts).
    """
    if state.inactive(account) is not None:
        return None
    now, segments = state.clock.now(), count_segments(body)
    message = SentMessage(
        sid=state.new_sid("MM" if media else "SM"),
        account_sid=account.sid,
        to=to,
        sender=sender,
        service_sid=None,
        body=body,
        segments=segments,
        status="received",
        callback_url=None,
        created=now,
        accepted_at=0.0,
        updated=now,
        sent=now,
        direction="inbound",
        channel="mms" if media else "sms",
    )
    state.messages[message.sid] = message
    account.messages.append(message)
    charge_sent(state, message)
    return message


def call(state: State, account_sid: str, *, inbound: bool, to: str, seconds: int) -> Entry:
    """Twilio bills whole minutes. A call in progress is billed even if the account is suspended
    meanwhile.
    """
    kind = "tollfree" if number_kind(to) == "tollfree" else "local"
    category = f"calls-inbound-{kind}" if inbound else "calls-outbound"
    minutes = max(1, -(-seconds // 60))
    return state.books.book(
        account_sid,
        category,
        state.rates.prices[category] * minutes,
        source=state.new_sid("CA"),
        usage=minutes,
    )
