"""An organization's explanation in plain sentences, for the API and the command `explain`."""

from collections.abc import Sequence
from datetime import datetime

from api.carrier.recurring import in_words
from db.audit.explanations import CampaignAt, Explanation
from db.carrier.foreign_messages import Total
from db.inbox.deliveries import Delivery
from db.switching.switches import Switch
from domain.billing.deliveries import InboxStatus
from domain.billing.subscription import Subscription
from domain.campaigns.campaign import CampaignStatus
from domain.carrier.foreign import Direction
from domain.lifecycle.standing import Status
from domain.money import Money
from domain.switching.switch import IN_WORDS as IN_WORDS_OF_SWITCHES
from domain.wallet.ledger import Wallet


def story(explanation: Explanation) -> list[str]:
    """The summary in plain sentences, most important first."""
    return [
        *_standing_story(explanation),
        *_progress_story(explanation),
        _wallet_story(explanation.wallet),
        *_owed_story(explanation),
        *_recurring_story(explanation),
        *_foreign_story(explanation.foreign),
        *_subscription_story(explanation.subscriptions),
        *_switch_story(explanation.switch),
        *_campaign_story(explanation.campaigns),
        *_delivery_story(explanation.deliveries),
        *[
            (
                f"Alert since {_at(alert.raised_at)}: {alert.detail} ({alert.kind}, {alert.times} "
                "times)."
            )
            for alert in explanation.alerts
        ],
    ]


def _standing_story(explanation: Explanation) -> list[str]:
    name = explanation.organization.id
    if explanation.standing.status is Status.ACTIVE:
        lines = [
            f"{name} is active."
            if not explanation.reasons
            else f"{name} is active, but cannot send now."
        ]
    else:
        lines = [f"{name} is suspended and cannot send."]
    lines += [f"Because {reason.text}." for reason in explanation.reasons]
    lines += [
        f"Block {block.kind.value}{f' {block.reference}' if block.reference else ''} by "
        f"{block.placed_by}"
        f" since {_at(block.placed_at)}{f': {block.reason}' if block.reason else ''}."
        for block in explanation.blocks
    ]
    if explanation.standing.deadline is not None:
        lines.append(
            f"It may send until {_at(explanation.standing.deadline)}; then it is suspended "
            "unless something changes."
        )
    return lines


def _progress_story(explanation: Explanation) -> list[str]:
    standing = explanation.standing
    if explanation.stuck is not None:
        return [f"Stuck at {explanation.stuck.step}: {explanation.stuck.reason}."]
    if standing.behind:
        return [
            (
                f"Epoch {standing.epoch} is being applied; last applied: epoch "
                f"{standing.applied_epoch}."
            )
        ]
    if not explanation.receipts:
        return []
    last = explanation.receipts[0]
    leaked = ""
    if last.leaked_debits is not None:
        leaked = (
            f"; {last.leaked_debits} debits and {last.leaked_messages} messages passed the shut "
            "gate"
        )
    return [
        (
            f"Epoch {last.epoch} ({last.status.value}, {last.cause}) is applied since "
            f"{_at(last.finished_at)}{leaked}."
        )
    ]


def _wallet_story(wallet: Wallet) -> str:
    by = [
        who
        for who, frozen in (
            ("the suspension", wallet.frozen_by_suspension),
            ("an operator", wallet.frozen_by_operator),
        )
        if frozen
    ]
    gate = "open" if wallet.gate_open else "shut"
    frozen = f"frozen by {' and '.join(by)}" if by else "not frozen"
    set_aside = (
        f", {Money(wallet.held_micros, wallet.currency)} of it set aside by holds"
        if wallet.held_micros
        else ""
    )
    balance = Money(wallet.balance_micros, wallet.currency)
    return f"The wallet holds {balance}{set_aside}; its gate is {gate}, and it is {frozen}."


def _recurring_story(explanation: Explanation) -> list[str]:
    words = in_words(explanation.wallet.currency, explanation.recurring)
    return [] if words is None else [f"Its subaccount is {words}, whether it is used or not."]


def _owed_story(explanation: Explanation) -> list[str]:
    owed = explanation.owed
    parts = [
        f"{Money(micros, explanation.wallet.currency)} for {what}"
        for micros, what in (
            (owed.carrier, "what Twilio charged"),
            (owed.reversals, "reversed payments"),
        )
        if micros
    ]
    if not parts:
        return []
    return [f"It owes {' and '.join(parts)}; the next top-up covers this debt first."]


def _foreign_story(totals: Sequence[Total]) -> list[str]:
    """Of each direction and currency; those without a price come alone until Twilio has one."""
    lines = []
    for total in totals:
        sent = total.direction is Direction.OUTBOUND
        what = "sent past Tollgate" if sent else "received"
        price = "without a price yet" if total.price is None else f"for {total.price}"
        count = "1 message was" if total.messages == 1 else f"{total.messages} messages were"
        lines.append(f"In the last 30 days {count} {what}, at Twilio {price}.")
    return lines


def _subscription_story(subscriptions: Sequence[Subscription]) -> list[str]:
    if not any(subscription.is_current for subscription in subscriptions):
        return ["It has no current subscription."]
    lines = []
    for subscription in subscriptions:
        which = "The current subscription" if subscription.is_current else "Another subscription"
        confirmed = (
            f"confirmed {_at(subscription.confirmed_at)}"
            if subscription.confirmed_at
            else "not confirmed by the provider yet"
        )
        lines.append(
            f"{which} is {subscription.provider.value} {subscription.id}:"
            f" {subscription.snapshot.state.value}, {confirmed}."
        )
        if subscription.debt is not None:
            shut = "; the provider suspended it for that" if subscription.debt.shut else ""
            lines.append(f"A payment has been unpaid since {_at(subscription.debt.since)}{shut}.")
        if subscription.word is not None:
            lines.append(
                f"A webhook reported {subscription.word.state.value}; it counts until the "
                "provider gives a newer answer."
            )
        if subscription.alert:
            lines.append(f"About {subscription.id}: {subscription.alert}.")
    return lines


def _switch_story(switch: Switch | None) -> list[str]:
    if switch is None:
        return []
    why = f" ({switch.reason})" if switch.reason else ""
    when = f" since {_at(switch.ended_at)}" if switch.ended_at else ""
    where = f"Its switch to {switch.target_provider.value} is {switch.state.value}{when}"
    return [f"{where}: {IN_WORDS_OF_SWITCHES[switch.state]}{why}."]


def _campaign_story(campaigns: Sequence[CampaignAt]) -> list[str]:
    lines = []
    for campaign_at in campaigns:
        if campaign_at.campaign.status in (
            CampaignStatus.DRAFT,
            CampaignStatus.COMPLETED,
            CampaignStatus.CANCELED,
        ):
            continue
        why = ""
        if campaign_at.wait is not None:
            until = (
                f", until {_at(campaign_at.wait.until)}"
                if campaign_at.wait.until is not None
                else ""
            )
            since = (
                f" since {_at(campaign_at.wait.since)}"
                if campaign_at.wait.since is not None
                else ""
            )
            why = f": it waits{since}{until}, because {campaign_at.wait.text}"
        lines.append(
            f"Campaign {campaign_at.campaign.name!r} is {campaign_at.campaign.status.value} "
            f"{_where(campaign_at)}{why}."
        )
    return lines


def _where(campaign_at: CampaignAt) -> str:
    total = campaign_at.campaign.total
    where = (
        f"at message {campaign_at.position} of {total}"
        if campaign_at.position
        else f"with all {total} handed over"
    )
    return (
        f"{where}, {campaign_at.unconfirmed} of them not confirmed by Twilio"
        if campaign_at.unconfirmed
        else where
    )


def _delivery_story(deliveries: Sequence[Delivery]) -> list[str]:
    waiting = [delivery for delivery in deliveries if delivery.status is not InboxStatus.HANDLED]
    return [
        f"{delivery.event_type or 'An event'} {delivery.event_id} of {_at(delivery.received_at)}"
        f" is {delivery.status.value}"
        f"{f': {delivery.outcome}' if delivery.outcome else ''}."
        for delivery in waiting
    ]


def _at(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else "an unknown time"
