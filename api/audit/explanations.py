"""What standings, blocks, receipts and the whole explanation look like on the wire."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from api.audit.sentences import story
from api.billing.fields import SubscriptionOut
from api.campaigns.fields import CampaignOut
from api.http.errors import ReasonOut
from api.http.fields import Time
from api.lifecycle.fields import OrganizationOut
from api.wallet.fields import WalletOut
from db.alerts import Alert
from db.audit.explanations import Explanation
from db.inbox.deliveries import Delivery
from db.lifecycle.receipts import Receipt
from db.lifecycle.standings import HeldBlock
from domain.alerts import AlertKind
from domain.lifecycle.standing import IN_WORDS, Standing


class StandingOut(BaseModel):
    """`epoch` counts changes of mind; the steps are done once `applied_epoch` has caught up."""

    model_config = ConfigDict(title="Standing")

    status: str = Field(examples=["suspended"])
    epoch: int
    applied_epoch: int
    applied: bool
    deadline: Time | None
    blocks: list[ReasonOut]

    @classmethod
    def of(cls, standing: Standing) -> "StandingOut":
        return cls(
            status=standing.status.value,
            epoch=standing.epoch,
            applied_epoch=standing.applied_epoch,
            applied=not standing.behind,
            deadline=standing.deadline,
            blocks=[ReasonOut(code=block.value, text=IN_WORDS[block]) for block in sorted(standing.blocks)],
        )


class BlockOut(BaseModel):
    """`held` ones stand by themselves until they are lifted; the others follow from the subscription."""

    model_config = ConfigDict(title="Block")

    kind: str = Field(examples=["admin"])
    text: str
    held: bool
    reference: str | None = None
    reason: str | None = None
    placed_by: str | None = None
    placed_at: Time | None = None

    @classmethod
    def all_of(cls, standing: Standing, held: Sequence[HeldBlock]) -> "list[BlockOut]":
        kinds = {one.kind for one in held}
        following = sorted(block for block in standing.blocks if block not in kinds)
        return [
            *[
                cls(
                    kind=one.kind.value,
                    text=IN_WORDS[one.kind],
                    held=True,
                    reference=one.reference or None,
                    reason=one.reason or None,
                    placed_by=one.placed_by,
                    placed_at=one.placed_at,
                )
                for one in held
            ],
            *[cls(kind=block.value, text=IN_WORDS[block], held=False) for block in following],
        ]


class ReceiptOut(BaseModel):
    """One suspension or reactivation. The leaks are counted when a suspension has finished: both are 0."""

    model_config = ConfigDict(title="Receipt")

    epoch: int
    status: str
    cause: str
    decided_at: Time
    finished_at: Time | None
    steps: list[dict[str, str]]
    leaked_debits: int | None
    leaked_messages: int | None

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptOut":
        return cls(
            epoch=receipt.epoch,
            status=receipt.status.value,
            cause=receipt.cause,
            decided_at=receipt.decided_at,
            finished_at=receipt.finished_at,
            steps=list(receipt.steps),
            leaked_debits=receipt.leaked_debits,
            leaked_messages=receipt.leaked_messages,
        )


class DeliveryOut(BaseModel):
    model_config = ConfigDict(title="Delivery")

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
    model_config = ConfigDict(title="Alert")

    kind: AlertKind | str = Field(description="Another text only if it was raised by another version.")
    detail: str
    raised_at: Time
    times: int

    @classmethod
    def of(cls, alert: Alert) -> "AlertOut":
        return cls(kind=alert.kind, detail=alert.detail, raised_at=alert.raised_at, times=alert.times)


class StuckOut(BaseModel):
    model_config = ConfigDict(title="Stuck")

    step: str
    reason: str


class ExplanationOut(BaseModel):
    """`story` says it in plain sentences; the rest is what it was told from."""

    model_config = ConfigDict(title="Explanation")

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
    def of(cls, told: Explanation) -> "ExplanationOut":
        return cls(
            story=story(told),
            can_send=not told.reasons,
            reasons=[ReasonOut(code=one.code, text=one.text) for one in told.reasons],
            organization=OrganizationOut.of(told.organization),
            standing=StandingOut.of(told.standing),
            stuck=StuckOut(step=told.stuck.step, reason=told.stuck.reason) if told.stuck else None,
            blocks=BlockOut.all_of(told.standing, told.held),
            wallet=WalletOut.of(told.wallet, told.owed_micros),
            subscriptions=[SubscriptionOut.of(one) for one in told.subscriptions],
            campaigns=[CampaignOut.of(one.campaign, position=one.position, waiting=one.wait) for one in told.campaigns],
            deliveries=[DeliveryOut.of(one) for one in told.deliveries],
            receipts=[ReceiptOut.of(one) for one in told.receipts],
            alerts=[AlertOut.of(one) for one in told.alerts],
        )
