"""The kinds of alerts: what each one means, and what ends it. The runbook's tables are generated
from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AlertKind(StrEnum):
    """The subject of an alert. At most one alert of a kind stands for each organization, or one for
    the whole installation.
    """

    STUCK = "stuck"
    TELEPHONY = "telephony"
    DIFFERS = "differs"
    UNKNOWN_STATUS = "unknown_status"
    NOT_CONFIRMED = "not_confirmed"
    NOBODY_BILLS = "nobody_bills"
    TWO_SUBSCRIPTIONS_BILL = "two_subscriptions_bill"
    SUBSCRIPTION_NOT_LINKED = "subscription_not_linked"
    RECEIVABLE = "receivable"
    DISPUTE_LOST = "dispute_lost"
    MONEY_WAITS = "money_waits"
    SWITCH_STUCK = "switch_stuck"
    CAMPAIGN_REFUSED = "campaign_refused"
    CAMPAIGN_WAITS = "campaign_waits"
    SENDING_REFUSED = "sending_refused"
    SENT_AFTER_REFUND = "sent_after_refund"

    CHARGED_BY_OTHER = "charged_by_other"
    LATE_CONSENT = "late_consent"
    SUBSCRIPTION_OF_ANOTHER = "subscription_of_another"
    REFUND = "refund"
    PAYMENT_OF_ANOTHER = "payment_of_another"
    PAYMENT_NOT_BOOKED = "payment_not_booked"
    REVERSAL_NOT_BOOKED = "reversal_not_booked"
    FRAUD_WARNING = "fraud_warning"
    NOT_UNDERSTOOD = "not_understood"
    CALLBACK_CONTRADICTED = "callback_contradicted"
    REFUND_UNCONFIRMED = "refund_unconfirmed"
    MESSAGE_UNCONFIRMED = "message_unconfirmed"

    GUARANTEE_1 = "guarantee_1"
    GUARANTEE_2 = "guarantee_2"
    GUARANTEE_3 = "guarantee_3"
    GUARANTEE_4 = "guarantee_4"
    GUARANTEE_5 = "guarantee_5"
    GUARANTEE_6 = "guarantee_6"
    GUARANTEE_7 = "guarantee_7"
    RELAY_FAILED = "relay_failed"
    FINDING_FAILED = "finding_failed"
    EXPIRY_FAILED = "expiry_failed"
    RECOVERY_FAILED = "recovery_failed"
    RESUME_FAILED = "resume_failed"
    WATCH_FAILED = "watch_failed"
    SEALING_FAILED = "sealing_failed"
    CHECKING_FAILED = "checking_failed"
    UNDECIDED_FAILED = "undecided_failed"
    PAYPAL_API_VERSION = "paypal_api_version"
    STRIPE_API_VERSION = "stripe_api_version"
    PAYPAL_WEBHOOK_SETUP = "paypal_webhook_setup"
    STRIPE_WEBHOOK_SETUP = "stripe_webhook_setup"
    PAYPAL_EVENTS_MISSED = "paypal_events_missed"
    STRIPE_EVENTS_MISSED = "stripe_events_missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """`about` and `clears` are Markdown for the runbook; an alert without `clears` is closed by a
    person only.
    """

    about: str
    clears: str | None = None


def _loop(what: str) -> Meaning:
    return Meaning(
        about=f"a worker's loop fails again and again: {what}. A server is away, or it is a fault of Tollgate's; "
        "the log has the reason",
        clears="the loop succeeds",
    )


_GUARANTEE = Meaning(
    about="`tollgate certify` finds a guarantee broken; treat it as an incident",
    clears="the next audit finds nothing",
)
_API_VERSION = Meaning(
    about="events are of another API version than Tollgate's: make a webhook endpoint of the version in the detail, "
    "and delete the other",
    clears="the first event of the right version comes",
)
_WEBHOOK_SETUP = Meaning(
    about="events that the provider signed for us are refused; the detail says why: the other mode, another account, "
    "or our clock. Correct the webhook endpoint or the clock",
    clears="an event is taken, and none was refused for an hour",
)
_EVENTS_MISSED = Meaning(
    about="events were listed and never delivered; they were taken in. Look at the webhook there: its id or secret "
    "here, its address, the types it is subscribed to",
    clears="the next comparison finds none missing",
)
_MONEY = "money that a person has to settle; the detail says which, and why"

MEANINGS: Mapping[AlertKind, Meaning] = {
    AlertKind.STUCK: Meaning(
        about="a step was refused for good: [a stuck step](#a-stuck-step)",
        clears="the step is done",
    ),
    AlertKind.TELEPHONY: Meaning(
        about="Twilio suspended or closed the subaccount: settle it with Twilio, then lift the block",
        clears="the block is lifted",
    ),
    AlertKind.DIFFERS: Meaning(
        about="the provider or Twilio say otherwise than we know; the lifecycle was rung. If it stays, `explain`",
        clears="the next comparison finds no difference",
    ),
    AlertKind.UNKNOWN_STATUS: Meaning(
        about="the provider says a status that is not known here, or does not find the subscription; nothing changed",
        clears="an answer is understood",
    ),
    AlertKind.NOT_CONFIRMED: Meaning(
        about="for two minutes the provider could not be asked, or its answer not be taken; the log says why "
        "(`not confirmed`). What is known of webhooks counts meanwhile, nothing opens, and it is asked every minute",
        clears="an answer is taken",
    ),
    AlertKind.NOBODY_BILLS: Meaning(
        about="it is served, and no subscription of it bills any more; link the one that does, or suspend it. After a "
        "switch: [a switch that needs a person](switch-customers.md#what-needs-a-person)",
        clears="a subscription of it bills, or it is suspended",
    ),
    AlertKind.TWO_SUBSCRIPTIONS_BILL: Meaning(
        about="the customer pays twice, or will when a provider's next try at a debt succeeds: cancel one of them",
        clears="only one bills",
    ),
    AlertKind.SUBSCRIPTION_NOT_LINKED: Meaning(
        about="a subscription of another plan names it: `POST …/subscription` if it pays for this service",
        clears="a subscription is linked, or the one that is named ends",
    ),
    AlertKind.RECEIVABLE: Meaning(
        about="payers got back more than the wallet had left; it blocks until it is covered or "
        "[forgiven](#an-organization-cannot-send)",
        clears="nothing is owed",
    ),
    AlertKind.DISPUTE_LOST: Meaning(
        about="a dispute was lost: whether that customer may go on is yours to say",
        clears="its last dispute block is lifted",
    ),
    AlertKind.MONEY_WAITS: Meaning(
        about="what a webhook told could not be settled for ten minutes; the detail says why, and it is tried again",
        clears="nothing is left that could not be settled",
    ),
    AlertKind.SWITCH_STUCK: Meaning(
        about="[a switch that needs a person](switch-customers.md#what-needs-a-person)",
        clears="the switch goes on, or ends",
    ),
    AlertKind.CAMPAIGN_REFUSED: Meaning(
        about="Twilio's refusals have parked a campaign: [a campaign is stuck](#a-campaign-is-stuck)",
        clears="no campaign of the organization is parked so",
    ),
    AlertKind.CAMPAIGN_WAITS: Meaning(
        about="a campaign waits for Twilio, Temporal or a worker for five minutes or longer",
        clears="none waits so long",
    ),
    AlertKind.SENDING_REFUSED: Meaning(
        about="messages fail, at once or at a carrier, for the sender, the account or our request",
        clears="the sender is changed, or a day has passed since the last",
    ),
    AlertKind.SENT_AFTER_REFUND: Meaning(
        about="Twilio sent a message after it was refunded: `tollgate unpaid list acme` (`GET …/messages/unpaid`) "
        "lists those that Twilio confirms; charge each with `tollgate unpaid charge acme MESSAGE_ID` "
        "(`POST …/messages/{message_id}/charge`), or close the alert to leave it",
        clears="all are charged; or Twilio, asked about what a callback said, does not confirm it",
    ),
    AlertKind.CHARGED_BY_OTHER: Meaning(
        about="a subscription that a switch left, or did not come to, has charged: refund that at its provider, and "
        "see that it is canceled there"
    ),
    AlertKind.LATE_CONSENT: Meaning(
        about="[a switch that needs a person](switch-customers.md#what-needs-a-person)"
    ),
    AlertKind.SUBSCRIPTION_OF_ANOTHER: Meaning(
        about="a checkout became a subscription that another organization has: find out whose it is"
    ),
    AlertKind.REFUND: Meaning(about=_MONEY),
    AlertKind.PAYMENT_OF_ANOTHER: Meaning(about=_MONEY),
    AlertKind.PAYMENT_NOT_BOOKED: Meaning(about=_MONEY),
    AlertKind.REVERSAL_NOT_BOOKED: Meaning(about=_MONEY),
    AlertKind.FRAUD_WARNING: Meaning(
        about="Stripe warns of a payment that may be fraud: a dispute may follow; refund it, or suspend the "
        "organization by hand"
    ),
    AlertKind.NOT_UNDERSTOOD: Meaning(
        about="a webhook about it lacks something: [parked webhooks](#parked-webhooks)"
    ),
    AlertKind.CALLBACK_CONTRADICTED: Meaning(
        about="a signed callback said how a message ended, or which message it is, and Twilio says otherwise: somebody "
        "else holds the subaccount's token. Exchange it; nothing was refunded"
    ),
    AlertKind.REFUND_UNCONFIRMED: Meaning(
        about="a callback told how a message ended, and Twilio does not have it any more, or does not say which it is: "
        "look at Twilio, and credit or charge it by hand"
    ),
    AlertKind.MESSAGE_UNCONFIRMED: Meaning(
        about="nobody can tell whether Twilio took a message, and its price was kept: look at the sids that are named; "
        "`POST …/messages/{message_id}/refund` gives it up"
    ),
    AlertKind.GUARANTEE_1: _GUARANTEE,
    AlertKind.GUARANTEE_2: _GUARANTEE,
    AlertKind.GUARANTEE_3: _GUARANTEE,
    AlertKind.GUARANTEE_4: _GUARANTEE,
    AlertKind.GUARANTEE_5: _GUARANTEE,
    AlertKind.GUARANTEE_6: _GUARANTEE,
    AlertKind.GUARANTEE_7: _GUARANTEE,
    AlertKind.RELAY_FAILED: _loop("lifecycles and campaigns are rung late"),
    AlertKind.FINDING_FAILED: _loop("the owners of parked webhooks are not looked for"),
    AlertKind.EXPIRY_FAILED: _loop("holds do not expire"),
    AlertKind.RECOVERY_FAILED: _loop("what is owed is not taken from what comes in"),
    AlertKind.RESUME_FAILED: _loop("parked campaigns go on late"),
    AlertKind.WATCH_FAILED: _loop("alerts about campaigns are not raised or cleared"),
    AlertKind.SEALING_FAILED: _loop("new ledger entries are not sealed"),
    AlertKind.CHECKING_FAILED: _loop("refunds of failed messages wait"),
    AlertKind.UNDECIDED_FAILED: _loop("messages whose callbacks were lost are not looked for"),
    AlertKind.PAYPAL_API_VERSION: _API_VERSION,
    AlertKind.STRIPE_API_VERSION: _API_VERSION,
    AlertKind.PAYPAL_WEBHOOK_SETUP: _WEBHOOK_SETUP,
    AlertKind.STRIPE_WEBHOOK_SETUP: _WEBHOOK_SETUP,
    AlertKind.PAYPAL_EVENTS_MISSED: _EVENTS_MISSED,
    AlertKind.STRIPE_EVENTS_MISSED: _EVENTS_MISSED,
}
