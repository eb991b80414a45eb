"""The types of events, and how their data is described."""

from dataclasses import dataclass
from enum import StrEnum


class EventType(StrEnum):
    ORGANIZATION_SUSPENDED = "organization.suspended"
    ORGANIZATION_REACTIVATED = "organization.reactivated"
    ORGANIZATION_GRACE_STARTED = "organization.grace_started"
    ORGANIZATION_GRACE_ENDING = "organization.grace_ending"
    STANDING_APPLIED = "standing.applied"
    WALLET_CREDITED = "wallet.credited"
    WALLET_FROZEN = "wallet.frozen"
    WALLET_UNFROZEN = "wallet.unfrozen"
    TOPUP_PAID = "topup.paid"
    TOPUP_FAILED = "topup.failed"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_DISPUTED = "payment.disputed"
    PAYMENT_DISPUTE_CLOSED = "payment.dispute_closed"
    DEBT_OPENED = "debt.opened"
    DEBT_CLEARED = "debt.cleared"
    CAMPAIGN_SCHEDULED = "campaign.scheduled"
    CAMPAIGN_STARTED = "campaign.started"
    CAMPAIGN_PARKED = "campaign.parked"
    CAMPAIGN_PAUSED = "campaign.paused"
    CAMPAIGN_RESUMED = "campaign.resumed"
    CAMPAIGN_COMPLETED = "campaign.completed"
    CAMPAIGN_CANCELED = "campaign.canceled"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_REFUNDED = "message.refunded"
    RECIPIENT_OPTED_OUT = "recipient.opted_out"
    SUBSCRIPTION_LINKED = "subscription.linked"
    SUBSCRIPTION_ENDED = "subscription.ended"
    SWITCH_STARTED = "switch.started"
    SWITCH_OFFERED = "switch.offered"
    SWITCH_CONSENTED = "switch.consented"
    SWITCH_COMPLETED = "switch.completed"
    SWITCH_ENDED = "switch.ended"
    CARRIER_FORBIDDEN = "carrier.forbidden"
    CARRIER_UNPAID = "carrier.unpaid"
    CARRIER_TRIPWIRE_FIRED = "carrier.tripwire_fired"
    CARRIER_FOREIGN_MESSAGES = "carrier.foreign_messages"
    ALERT_RAISED = "alert.raised"
    ALERT_CLEARED = "alert.cleared"
    GUARANTEE_BROKEN = "guarantee.broken"


class Kind(StrEnum):
    """MONEY is kept in whole micros, and shown as a decimal string."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "integer"
    FLAG = "true or false"
    TIME = "time"
    MONEY = "amount"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: Kind
    about: str
    optional: bool = False

    @property
    def stored(self) -> str:
        """Its key in the row's data."""
        return f"{self.name}_micros" if self.kind is Kind.MONEY else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`opt_in`: told only to an endpoint that names the type. `version` grows when a field changes
    its meaning; fields are only added otherwise.
    """

    about: str
    fields: tuple[Field, ...]
    opt_in: bool = False
    version: int = 1
