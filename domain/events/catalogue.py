"""The catalogue of events: what each type tells, and the fields of its data. docs/reference/events.md
and the webhooks of the OpenAPI document are generated from here.

An event is thin: ids, and the few figures that make a decision possible. The rest is read by GET.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from domain.events.types import Entry, EventType, Field, Kind
from domain.money import to_decimal_string

__all__ = [
    "CATALOGUE",
    "Entry",
    "EventType",
    "Field",
    "Kind",
    "refuse_unknown_keys",
    "shown",
    "version_of",
]

EPOCH = Field("epoch", Kind.NUMBER, "counts the changes of the organization's standing")
STATUS = Field("status", Kind.TEXT, "`active` or `suspended`")
DEADLINE = Field("deadline", Kind.TIME, "when it is suspended, unless it pays before")
CURRENCY = Field("currency", Kind.TEXT, "of the amounts")
BALANCE = Field("balance", Kind.MONEY, "of the wallet")
AMOUNT = Field("amount", Kind.MONEY, "what was paid")
PROVIDER = Field("provider", Kind.TEXT, "`paypal` or `stripe`")
PAYMENT = Field("payment_id", Kind.TEXT, "the provider's id of the payment")
DISPUTE = (PROVIDER, Field("dispute_id", Kind.TEXT, "the provider's id of the dispute"))
FREEZE = (
    Field("by", Kind.TEXT, "`suspension` or `operator`; each of them freezes by itself"),
    Field("frozen", Kind.FLAG, "whether the wallet is frozen now, by either"),
    BALANCE,
    CURRENCY,
)
OWED_FOR = Field("source", Kind.TEXT, "`carrier`: what Twilio charged; or `reversal`")
CAMPAIGN = (
    Field("campaign_id", Kind.TEXT, "the campaign"),
    Field("by", Kind.TEXT, "`person` or `tollgate`"),
    Field("reason", Kind.TEXT, "why, such as `suspended` or `insufficient_funds`; may be empty"),
)
MESSAGES = (Field("message_ids", Kind.TEXTS, "the messages, together as they were reported"),)
SUBSCRIPTION = (PROVIDER, Field("subscription_id", Kind.TEXT, "the provider's id"))
SWITCH = (
    Field("switch_id", Kind.TEXT, "the switch"),
    Field("source_provider", Kind.TEXT, "who bills before it"),
    Field("target_provider", Kind.TEXT, "who bills after it"),
)
ALERT = (
    Field("alert_id", Kind.TEXT, "the alert"),
    Field("kind", Kind.TEXT, "the kind of alert"),
)

CATALOGUE: Mapping[EventType, Entry] = {
    EventType.ORGANIZATION_SUSPENDED: Entry(
        about="the organization may not send: its gate is shut, and the steps at Twilio follow",
        fields=(EPOCH, Field("blocks", Kind.TEXTS, "why it may not send")),
    ),
    EventType.ORGANIZATION_REACTIVATED: Entry(
        about="the organization may send again: its subaccount is active, its gate open and its "
        "campaigns continue",
        fields=(EPOCH,),
    ),
    EventType.ORGANIZATION_GRACE_STARTED: Entry(
        about="a payment failed or the paid time ends: the organization may send until the deadline",
        fields=(DEADLINE,),
    ),
    EventType.ORGANIZATION_GRACE_ENDING: Entry(
        about="the deadline is at most a day away",
        fields=(DEADLINE,),
    ),
    EventType.STANDING_APPLIED: Entry(
        about="every step of a suspension or a reactivation is done: its receipt is closed",
        fields=(
            EPOCH,
            STATUS,
            Field("decided_at", Kind.TIME, "when it was decided"),
            Field("finished_at", Kind.TIME, "when its last step was done"),
            Field(
                "leaked_debits", Kind.NUMBER, "debits that passed the shut gate: 0", optional=True
            ),
            Field(
                "leaked_messages",
                Kind.NUMBER,
                "messages that passed the shut gate: 0",
                optional=True,
            ),
        ),
    ),
    EventType.WALLET_CREDITED: Entry(
        about="money came into the wallet, by a top-up, a request or a returned reversal",
        fields=(
            Field("seq", Kind.NUMBER, "the number of the ledger entry"),
            Field("reference_id", Kind.TEXT, "the reference of the ledger entry"),
            Field("amount", Kind.MONEY, "what came in"),
            BALANCE,
            CURRENCY,
        ),
    ),
    EventType.WALLET_FROZEN: Entry(
        about="a suspension or an operator froze the wallet", fields=FREEZE
    ),
    EventType.WALLET_UNFROZEN: Entry(about="one of the freezes was lifted", fields=FREEZE),
    EventType.TOPUP_PAID: Entry(
        about="a payment into the wallet was confirmed by its provider, and credited",
        fields=(
            PROVIDER,
            PAYMENT,
            Field("reference_id", Kind.TEXT, "the reference of the ledger entry"),
            AMOUNT,
            CURRENCY,
        ),
    ),
    EventType.TOPUP_FAILED: Entry(
        about="a checkout of a top-up ended without a payment",
        fields=(
            PROVIDER,
            Field("checkout_id", Kind.TEXT, "the checkout"),
            Field("amount", Kind.MONEY, "what was to be paid"),
            CURRENCY,
        ),
    ),
    EventType.PAYMENT_REFUNDED: Entry(
        about="the payer of a payment got money back, by a refund or by a dispute",
        fields=(
            PROVIDER,
            PAYMENT,
            Field("reversal_id", Kind.TEXT, "the provider's id of the refund or dispute"),
            Field("what", Kind.TEXT, "`refund` or `dispute`"),
            Field("paid_for", Kind.TEXT, "what was paid: `topup` or `subscription`"),
            Field("amount", Kind.MONEY, "what of it counts here"),
            CURRENCY,
        ),
    ),
    EventType.PAYMENT_DISPUTED: Entry(
        about="a payer disputes a payment: the organization is blocked", fields=DISPUTE
    ),
    EventType.PAYMENT_DISPUTE_CLOSED: Entry(
        about="a dispute no longer blocks: it was won or withdrawn, or an operator lifted the block. "
        "A lost one keeps blocking, and is told as `payment.refunded`",
        fields=DISPUTE,
    ),
    EventType.DEBT_OPENED: Entry(
        about="the wallet could not pay what Twilio charged or payers got back: the organization is "
        "blocked until the rest is covered",
        fields=(OWED_FOR, Field("owed", Kind.MONEY, "what is owed for the source"), CURRENCY),
    ),
    EventType.DEBT_CLEARED: Entry(
        about="nothing is owed for the source any more", fields=(OWED_FOR,)
    ),
    EventType.CAMPAIGN_SCHEDULED: Entry(
        about="a campaign begins automatically at its time", fields=CAMPAIGN
    ),
    EventType.CAMPAIGN_STARTED: Entry(about="a campaign runs", fields=CAMPAIGN),
    EventType.CAMPAIGN_PARKED: Entry(
        about="Tollgate stopped a campaign, or has another reason to; it resumes automatically",
        fields=CAMPAIGN,
    ),
    EventType.CAMPAIGN_PAUSED: Entry(
        about="a person stopped a campaign; only a person resumes it", fields=CAMPAIGN
    ),
    EventType.CAMPAIGN_RESUMED: Entry(
        about="a campaign that was stopped or complete runs again", fields=CAMPAIGN
    ),
    EventType.CAMPAIGN_COMPLETED: Entry(
        about="every message of a campaign was handed over, or skipped", fields=CAMPAIGN
    ),
    EventType.CAMPAIGN_CANCELED: Entry(about="a campaign never resumes", fields=CAMPAIGN),
    EventType.MESSAGE_DELIVERED: Entry(
        about="messages arrived, as Twilio reports", fields=MESSAGES, opt_in=True
    ),
    EventType.MESSAGE_FAILED: Entry(
        about="messages were sent, paid for, and did not arrive", fields=MESSAGES, opt_in=True
    ),
    EventType.MESSAGE_REFUNDED: Entry(
        about="messages were not sent, and their price was returned", fields=MESSAGES, opt_in=True
    ),
    EventType.RECIPIENT_OPTED_OUT: Entry(
        about="Twilio refuses a recipient permanently, who answered STOP: no message is sent or "
        "charged any more. The message names the number",
        fields=(Field("message_id", Kind.TEXT, "the message that Twilio refused"),),
    ),
    EventType.SUBSCRIPTION_LINKED: Entry(
        about="a subscription decides from now on whether the organization may send",
        fields=SUBSCRIPTION,
    ),
    EventType.SUBSCRIPTION_ENDED: Entry(
        about="the provider confirmed that a subscription is over",
        fields=(*SUBSCRIPTION, Field("state", Kind.TEXT, "`canceled` or `expired`")),
    ),
    EventType.SWITCH_STARTED: Entry(
        about="the switch of a customer to another provider began", fields=SWITCH
    ),
    EventType.SWITCH_OFFERED: Entry(
        about="the checkout at the new provider is ready for the customer", fields=SWITCH
    ),
    EventType.SWITCH_CONSENTED: Entry(
        about="the customer consented to the new subscription", fields=SWITCH
    ),
    EventType.SWITCH_COMPLETED: Entry(about="the new provider bills", fields=SWITCH),
    EventType.SWITCH_ENDED: Entry(
        about="a switch ended without the new provider",
        fields=(*SWITCH, Field("state", Kind.TEXT, "how it ended")),
    ),
    EventType.CARRIER_FORBIDDEN: Entry(
        about="Twilio charged for a usage category that a policy forbids: the organization is "
        "charged and blocked",
        fields=(
            Field("day", Kind.TEXT, "Twilio's day, in UTC"),
            Field("category", Kind.TEXT, "the usage category"),
        ),
    ),
    EventType.CARRIER_UNPAID: Entry(
        about="the wallet could not pay all of what Twilio charged",
        fields=(
            Field("reference_id", Kind.TEXT, "the reference of the charge"),
            Field("owed", Kind.MONEY, "what is left of this charge"),
            CURRENCY,
        ),
    ),
    EventType.CARRIER_TRIPWIRE_FIRED: Entry(
        about="Twilio reported that a subaccount's day costs more than its usage trigger allows; "
        "Tollgate reads and charges it at once",
        fields=(),
    ),
    EventType.CARRIER_FOREIGN_MESSAGES: Entry(
        about="Twilio lists messages of the subaccount that Tollgate did not hand over",
        fields=(
            Field("sent", Kind.NUMBER, "how many were sent past Tollgate"),
            Field("received", Kind.NUMBER, "how many were received"),
        ),
    ),
    EventType.ALERT_RAISED: Entry(
        about="a condition needs a person; while it lasts, its repetitions are only counted",
        fields=(*ALERT, Field("severity", Kind.TEXT, "`page`, `today` or `info`")),
    ),
    EventType.ALERT_CLEARED: Entry(
        about="an alert no longer applies, or a person closed it",
        fields=(*ALERT, Field("by", Kind.TEXT, "the person who closed it", optional=True)),
    ),
    EventType.GUARANTEE_BROKEN: Entry(
        about="`certify` found that a guarantee does not hold",
        fields=(Field("guarantee", Kind.NUMBER, "its number"), ALERT[0]),
    ),
}


def refuse_unknown_keys(type_: EventType, keys: set[str]) -> None:
    """The data of an event has the fields that its type promises, and no others."""
    promised = {field.stored for field in CATALOGUE[type_].fields}
    if keys != promised:
        raise ValueError(f"{type_} has {sorted(keys)}, and should have {sorted(promised)}")


def version_of(type_: str) -> int:
    """The version of its data; 1 for a type of another version of Tollgate."""
    return CATALOGUE[EventType(type_)].version if type_ in CATALOGUE else 1


def shown(type_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as the host application reads it. A type of another version is shown as it is
    stored.
    """
    if type_ not in CATALOGUE:
        return dict(data)
    found = {}
    for field in CATALOGUE[EventType(type_)].fields:
        value = data.get(field.stored)
        found[field.name] = None if value is None else _SHOWN.get(field.kind, _as_it_is)(value)
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _in_utc(value: str) -> str:
    return datetime.fromisoformat(value).astimezone(UTC).isoformat().replace("+00:00", "Z")


_SHOWN: Mapping[Kind, Callable[[Any], Any]] = MappingProxyType(
    {Kind.MONEY: to_decimal_string, Kind.TIME: _in_utc}
)
