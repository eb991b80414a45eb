"""Explanations: everything about one organization on one page, with what it means in plain
sentences.
"""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.audit.sentences import story
from api.billing.fields import SubscriptionOut
from api.campaigns.fields import CampaignOut
from api.context import Here, OrganizationId
from api.http import operator_notes
from api.http.auth import READ, Caller
from api.http.errors import ReasonOut, not_found
from api.http.fields import Time
from api.lifecycle.fields import OrganizationOut
from api.lifecycle.standing_fields import BlockOut, ReceiptOut, StandingOut
from api.wallet.fields import WalletOut
from db.alerts import Alert
from db.audit import explanations
from db.audit.explanations import Explanation
from db.inbox.deliveries import Delivery
from domain.alerts import AlertKind

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])


class DeliveryOut(BaseModel):
    provider: str
    event_id: str
    event_type: str
    received_at: Time
    occurred_at: Time | None
    status: str
    outcome: str
    deliveries: int

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


class AlertOut(BaseModel):
    kind: AlertKind | str = Field(
        description="Another text only if it was raised by another version."
    )
    detail: str
    raised_at: Time
    times: int

    @classmethod
    def of(cls, alert: Alert) -> "AlertOut":
        return cls(
            kind=alert.kind, detail=alert.detail, raised_at=alert.raised_at, times=alert.times
        )


class StuckOut(BaseModel):
    step: str
    reason: str


class ExplanationOut(BaseModel):
    """`story` says it in plain sentences; the rest is what it was told from."""

    story: list[str]
    can_send: bool
    reasons: list[ReasonOut]
    organization: OrganizationOut
    standing: StandingOut
    stuck: StuckOut | None
    blocks: list[BlockOut]
    wallet: WalletOut
    subscriptions: list[SubscriptionOut]
    campaigns: list[CampaignOut]
    deliveries: list[DeliveryOut]
    receipts: list[ReceiptOut]
    alerts: list[AlertOut]

    @classmethod
    def of(cls, explanation: Explanation) -> "ExplanationOut":
        return cls(
            story=story(explanation),
            can_send=not explanation.reasons,
            reasons=[
                ReasonOut(code=reason.code, message=reason.text) for reason in explanation.reasons
            ],
            organization=OrganizationOut.of(explanation.organization),
            standing=StandingOut.of(explanation.standing),
            stuck=StuckOut(step=explanation.stuck.step, reason=explanation.stuck.reason)
            if explanation.stuck
            else None,
            blocks=BlockOut.all_of(explanation.standing, explanation.blocks),
            wallet=WalletOut.of(explanation.wallet, explanation.owed_micros),
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
