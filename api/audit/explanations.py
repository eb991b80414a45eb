"""Explanations: everything about one organization in one answer, summarized in plain sentences."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.audit.alert_fields import AlertOut
from api.audit.sentences import story
from api.billing.fields import SubscriptionOut
from api.campaigns.fields import CampaignOut
from api.carrier.foreign_messages import ForeignMessageOut
from api.context import Here, OrganizationId
from api.http import operator_notes
from api.http.auth import READ, Caller
from api.http.errors import ReasonOut, not_found
from api.http.fields import Time, options
from api.lifecycle.fields import OrganizationOut
from api.lifecycle.list_fields import StuckOut
from api.lifecycle.standing_fields import BlockOut, ReceiptOut, StandingOut
from api.wallet.fields import WalletOut
from db.audit import explanations
from db.audit.explanations import Explanation
from db.inbox.deliveries import Delivery
from domain.billing.deliveries import InboxStatus

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])


class DeliveryOut(BaseModel):
    """A webhook delivery of a provider."""

    provider: str = Field(description="The provider that sent it.")
    event_id: str = Field(description="The provider's id of the event.")
    event_type: str = Field(description="The provider's type of the event.")
    received_at: Time = Field(description="When the event was received first.")
    occurred_at: Time | None = Field(description="When it happened, according to the provider.")
    status: str = Field(
        description="`unhandled` until Tollgate has acted on it.",
        json_schema_extra=options(InboxStatus),
    )
    outcome: str = Field(description="What came of it, in words.")
    deliveries: int = Field(description="How often the event was delivered.")

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryOut":
        return cls(
            provider=delivery.provider.value,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            received_at=delivery.received_at,
            occurred_at=delivery.occurred_at,
            status=delivery.status.value,
            outcome=delivery.outcome,
            deliveries=delivery.deliveries,
        )


class ExplanationOut(BaseModel):
    """`story` summarizes everything else in plain sentences."""

    story: list[str] = Field(description="Plain sentences, most important first.")
    can_send: bool = Field(description="Whether a debit of one segment would be accepted now.")
    reasons: list[ReasonOut] = Field(description="Why it may not send; empty if it may.")
    organization: OrganizationOut
    standing: StandingOut
    stuck: StuckOut | None = Field(
        description="The step at which enforcement is stuck; null if none is."
    )
    blocks: list[BlockOut] = Field(description="What keeps it from sending.")
    wallet: WalletOut
    subscriptions: list[SubscriptionOut] = Field(description="Its subscriptions.")
    campaigns: list[CampaignOut] = Field(description="Its latest campaigns.")
    deliveries: list[DeliveryOut] = Field(description="Its latest webhook deliveries.")
    receipts: list[ReceiptOut] = Field(description="Its latest receipts.")
    alerts: list[AlertOut] = Field(description="Its open alerts.")
    foreign_messages: list[ForeignMessageOut] = Field(
        description="The latest messages that its subaccount sent past Tollgate, or received."
    )

    @classmethod
    def of(cls, explanation: Explanation) -> "ExplanationOut":
        return cls(
            story=story(explanation),
            can_send=not explanation.reasons,
            reasons=[
                ReasonOut(code=reason.code, message=reason.text) for reason in explanation.reasons
            ],
            organization=OrganizationOut.of(explanation.organization, explanation.standing),
            standing=StandingOut.of(explanation.standing),
            stuck=StuckOut(step=explanation.stuck.step, reason=explanation.stuck.reason)
            if explanation.stuck
            else None,
            blocks=BlockOut.all_of(explanation.standing, explanation.blocks),
            wallet=WalletOut.of(explanation.wallet, explanation.owed),
            subscriptions=[
                SubscriptionOut.of(subscription) for subscription in explanation.subscriptions
            ],
            campaigns=[
                CampaignOut.of(
                    campaign_at.campaign, position=campaign_at.position, waiting=campaign_at.wait
                )
                for campaign_at in explanation.campaigns
            ],
            deliveries=[DeliveryOut.of(delivery) for delivery in explanation.deliveries],
            receipts=[ReceiptOut.of(receipt) for receipt in explanation.receipts],
            alerts=[AlertOut.of(alert) for alert in explanation.alerts],
            foreign_messages=[ForeignMessageOut.of(each) for each in explanation.foreign_messages],
        )


@router.get(
    "/{organization_id}/explain",
    dependencies=[READ],
    operation_id="explain_organization",
    summary="Explain the state of an organization",
)
async def explain(organization_id: OrganizationId, caller: Caller, here: Here) -> ExplanationOut:
    """Returns everything about one organization, with a summary in plain sentences, for support
    staff. Only a key with the scope `operator` sees the notes of operators.
    """
    async with here.snapshot() as conn:
        explanation = await explanations.explain(conn, organization_id)
    if explanation is None:
        raise not_found("organization")
    return ExplanationOut.of(operator_notes.of_explanation(explanation, caller))
