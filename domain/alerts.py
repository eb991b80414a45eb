"""The kinds of alerts: what each one means, and what ends it. The runbook's tables are generated
from here.
"""

from collections.abc import Mapping

from domain.alert_kinds import AlertKind
from domain.alert_meanings import (
    API_VERSION,
    EVENTS_MISSED,
    GUARANTEE,
    MONEY,
    WEBHOOK_SETUP,
    AlertStatus,
    Change,
    Meaning,
    Severity,
)
from domain.loop_alerts import LOOPS
from domain.twilio_alerts import PRICES_AND_PARENTS

__all__ = ["MEANINGS", "AlertKind", "AlertStatus", "Change", "Severity"]

MEANINGS: Mapping[AlertKind, Meaning] = {
    AlertKind.STUCK: Meaning(
        about="a step was refused permanently: [a stuck step](#a-stuck-step)",
        clears="the step is done",
        severity=Severity.PAGE,
    ),
    AlertKind.TELEPHONY: Meaning(
        about="Twilio suspended or closed the subaccount: resolve it with Twilio, then lift the "
        "block",
        clears="the block is lifted",
    ),
    AlertKind.DIFFERS: Meaning(
        about="the provider's or Twilio's state differs from the database; the workflow was "
        "notified. If the alert stays, run `explain`",
        clears="the next comparison finds no difference",
        severity=Severity.INFO,
    ),
    AlertKind.UNKNOWN_STATUS: Meaning(
        about="the provider reports a status that Tollgate does not know, or does not find the "
        "subscription; nothing changed",
        clears="the provider reports a known status",
    ),
    AlertKind.NOT_CONFIRMED: Meaning(
        about="for two minutes Tollgate could not query the provider, or could not accept its "
        "answer; the log says why (`not confirmed`). Until then the webhooks count, no gate "
        "opens, and the query is repeated every minute",
        clears="an answer is accepted",
    ),
    AlertKind.NOBODY_BILLS: Meaning(
        about="the organization may send, but none of its subscriptions bills any more; link one "
        "that does, or suspend the organization. After a switch: [a switch that needs a "
        "person](switch-customers.md#what-needs-a-person)",
        clears="one of its subscriptions bills, or it is suspended",
    ),
    AlertKind.TWO_SUBSCRIPTIONS_BILL: Meaning(
        about="the customer pays twice, or will when the provider's next collection attempt "
        "succeeds: cancel one of the two subscriptions",
        clears="only one subscription bills",
    ),
    AlertKind.SUBSCRIPTION_NOT_LINKED: Meaning(
        about="a subscription with another plan names the organization: `POST …/subscription` if "
        "it pays for this service",
        clears="a subscription is linked, or the one in the alert ends",
    ),
    AlertKind.RECEIVABLE: Meaning(
        about="payers got back more than the wallet held; the organization is blocked until the "
        "debt is covered or [forgiven](#an-organization-cannot-send)",
        clears="nothing is owed",
        severity=Severity.INFO,
    ),
    AlertKind.CARRIER_OWED: Meaning(
        about="Twilio charged for the organization's subaccount what its wallet could not pay; it is "
        "suspended until the debt is covered or [forgiven](#an-organization-cannot-send)",
        clears="nothing is owed for the carrier",
        severity=Severity.INFO,
    ),
    AlertKind.DISPUTE_LOST: Meaning(
        about="a dispute was lost: decide whether that customer may continue",
        clears="its last dispute block is lifted",
        waivable=True,
    ),
    AlertKind.MONEY_WAITS: Meaning(
        about="the money that a webhook reported could not be booked for ten minutes; the detail "
        "says why, and Tollgate tries again",
        clears="no such webhook is left",
    ),
    AlertKind.SWITCH_STUCK: Meaning(
        about="[a switch that needs a person](switch-customers.md#what-needs-a-person)",
        clears="the switch continues or ends",
    ),
    AlertKind.CAMPAIGN_REFUSED: Meaning(
        about="a campaign is parked because Twilio refuses its messages: [a campaign is "
        "stuck](#a-campaign-is-stuck)",
        clears="no campaign of the organization is parked for that reason",
    ),
    AlertKind.CAMPAIGN_WAITS: Meaning(
        about="a campaign has waited for Twilio, Temporal or a worker for five minutes or longer",
        clears="no campaign waits that long",
    ),
    AlertKind.SENDING_REFUSED: Meaning(
        about="messages fail, at Twilio or at a carrier, because of the sender, the account or "
        "Tollgate's request",
        clears="the sender is changed, or a day has passed since the last failure",
    ),
    **PRICES_AND_PARENTS,
    AlertKind.ROTATION_FAILED: Meaning(
        about="the subaccount was suspended with its old auth token, although "
        "`TOLLGATE_ROTATE_TOKENS_AT_SUSPENSION` is set: whoever has it may read at Twilio, and use "
        "it again after a reactivation. Replace the token in Twilio's console",
        clears="a later suspension replaces it",
        waivable=True,
    ),
    AlertKind.SENT_AFTER_REFUND: Meaning(
        about="Twilio sent a message after it was refunded: `tollgate unpaid list acme` (`GET "
        "…/messages/unpaid`) "
        "lists those that Twilio confirms; charge each with `tollgate unpaid charge acme "
        "MESSAGE_ID` (`POST …/messages/{message_id}/charge`), or close the alert to waive the "
        "charge",
        clears="all are charged, or Twilio does not confirm what the callback reported",
        waivable=True,
    ),
    AlertKind.CARRIER_NOT_CHARGED: Meaning(
        about="Twilio charged what no customer was charged for: the detail says on which day, in "
        "which usage category, and why: [Twilio's bill does not add "
        "up](#twilios-bill-does-not-add-up)",
        clears="nothing is left with such a reason",
    ),
    AlertKind.CARRIER_NOT_READ: Meaning(
        about="what Twilio charged could not be read three times in a row; the detail says why",
        clears="it is read",
    ),
    AlertKind.CARRIER_CATEGORY_UNKNOWN: Meaning(
        about="Twilio charged for a usage category that no policy names; the customer was charged "
        "at cost. Set a policy for it: `tollgate carrier set`",
        clears="each of them has a policy",
        facts=True,
    ),
    AlertKind.CARRIER_FORBIDDEN: Meaning(
        about="Twilio charged for a usage category that a policy forbids: the customer was charged "
        "and blocked. Lift the block when it is resolved",
        severity=Severity.PAGE,
        clears="the last such block is lifted",
        facts=True,
    ),
    AlertKind.CHARGED_BY_OTHER: Meaning(
        about="a subscription that a switch replaced, or that an abandoned switch created, "
        "charged the customer: refund the charge at its provider, and make sure that the "
        "subscription is canceled"
    ),
    AlertKind.LATE_CONSENT: Meaning(
        about="[a switch that needs a person](switch-customers.md#what-needs-a-person)"
    ),
    AlertKind.SUBSCRIPTION_OF_ANOTHER: Meaning(
        about="a checkout created a subscription that is linked to another organization: find out "
        "whose it is"
    ),
    AlertKind.REFUND: Meaning(about=MONEY),
    AlertKind.PAYMENT_OF_ANOTHER: Meaning(about=MONEY),
    AlertKind.PAYMENT_NOT_BOOKED: Meaning(about=MONEY),
    AlertKind.REVERSAL_NOT_BOOKED: Meaning(about=MONEY),
    AlertKind.FRAUD_WARNING: Meaning(
        about="Stripe warns that a payment may be fraudulent: a dispute may follow; refund it, or "
        "suspend the organization manually"
    ),
    AlertKind.NOT_UNDERSTOOD: Meaning(
        about="a webhook about the organization lacks a required field: [parked "
        "webhooks](#parked-webhooks)",
        clears="each such webhook is dismissed",
        facts=True,
    ),
    AlertKind.CALLBACK_CONTRADICTED: Meaning(
        about="a signed callback reported a message's final status or id, and Twilio contradicts "
        "it: somebody else has the subaccount's token. Rotate it; nothing was refunded",
        severity=Severity.PAGE,
    ),
    AlertKind.REFUND_UNCONFIRMED: Meaning(
        about="a callback reported a message's final status, but Twilio no longer has the "
        "message, or does not identify it: look it up at Twilio, and credit or charge it manually"
    ),
    AlertKind.MESSAGE_UNCONFIRMED: Meaning(
        about="Tollgate cannot determine whether Twilio accepted a message, and kept its price: "
        "look up the sids in the detail; `POST …/messages/{message_id}/refund` refunds it"
    ),
    AlertKind.MESSAGE_UNMATCHED: Meaning(
        about="Twilio has a message of ours that the database does not know, or that its wallet "
        "could not pay: the database may have been restored. `tollgate unmatched list acme` names "
        "them: [restore a database](restore.md)",
        clears="none is left open",
        severity=Severity.PAGE,
    ),
    AlertKind.FOREIGN_MESSAGES: Meaning(
        about="the subaccount sent messages past Tollgate, so its credentials are in other hands, "
        "or in other software: [messages past Tollgate](#messages-past-tollgate). Told once a day",
        clears="none was found for a day",
        severity=Severity.PAGE,
    ),
    AlertKind.RECEIVES_MESSAGES: Meaning(
        about="the organization began to receive messages, which Twilio bills, too: [messages past "
        "Tollgate](#messages-past-tollgate). Told when it received none for 28 days",
        clears="a day has passed",
        severity=Severity.INFO,
    ),
    AlertKind.GUARANTEE_1: GUARANTEE,
    AlertKind.GUARANTEE_2: GUARANTEE,
    AlertKind.GUARANTEE_3: GUARANTEE,
    AlertKind.GUARANTEE_4: GUARANTEE,
    AlertKind.GUARANTEE_5: GUARANTEE,
    AlertKind.GUARANTEE_6: GUARANTEE,
    AlertKind.GUARANTEE_7: GUARANTEE,
    AlertKind.NOTIFICATION_ROUTE_FAILED: Meaning(
        about="messages about alerts cannot be sent by a route, and wait; the detail says which, and "
        "why: [be told of alerts](alerts.md#a-route-does-not-work)",
        clears="each route works, or is removed",
    ),
    AlertKind.WEBHOOK_DISABLED: Meaning(
        about="an endpoint of the host application answered 410, or failed for five days: nothing is "
        "delivered to it, and what happens is queued. Repair it, then `tollgate webhooks enable`",
        clears="no endpoint is disabled by Tollgate",
    ),
    AlertKind.FENCED: Meaning(
        about="nothing is sent or debited: the database went back in time, as the detail says, or "
        "an operator runs `tollgate recover`: [restore a database](restore.md)",
        clears="`tollgate recover --open`",
        severity=Severity.PAGE,
    ),
    AlertKind.RECONCILIATION_LATE: Meaning(
        about="the reconciliation of the subjects in the detail has not been complete for too "
        "long: [reconciliation is late](#reconciliation-is-late)",
        clears="a pass of each is complete",
    ),
    AlertKind.PAYPAL_API_VERSION: API_VERSION,
    AlertKind.STRIPE_API_VERSION: API_VERSION,
    AlertKind.PAYPAL_WEBHOOK_SETUP: WEBHOOK_SETUP,
    AlertKind.STRIPE_WEBHOOK_SETUP: WEBHOOK_SETUP,
    AlertKind.PAYPAL_EVENTS_MISSED: EVENTS_MISSED,
    AlertKind.STRIPE_EVENTS_MISSED: EVENTS_MISSED,
    **LOOPS,
}


def severity_of(kind: str) -> Severity:
    """Also of a kind that only another version knows."""
    return MEANINGS[AlertKind(kind)].severity if kind in MEANINGS else Severity.TODAY


def clears_only_when(kind: str) -> str | None:
    """What ends an alert of this kind, in Markdown, if no person may; None: a person may close it."""
    meaning = MEANINGS[AlertKind(kind)] if kind in MEANINGS else None
    return meaning.clears if meaning is not None and not meaning.by_hand else None


def kinds_of(kind: AlertKind | None, severity: Severity | None) -> list[AlertKind]:
    """Those that are meant by a filter; None: whatever."""
    return [
        each
        for each, meaning in MEANINGS.items()
        if kind in (None, each) and severity in (None, meaning.severity)
    ]


def anchor(kind: str) -> str:
    """Where the runbook explains a kind."""
    return f"alert-{kind.replace('_', '-')}"
