"""An organization's explanation in plain sentences, as the API and the command `explain` show
it.
"""

from collections.abc import Sequence
from datetime import datetime

from db.audit.explanations import CampaignAt, Explanation
from db.inbox.deliveries import Delivery, InboxStatus
from db.switching.switches import Migration
from domain.billing.subscription import Subscription
from domain.campaigns.campaign import CampaignStatus
from domain.lifecycle.standing import Status
from domain.money import Money
from domain.switching.switch import IN_WORDS as IN_WORDS_OF_MIGRATIONS
from domain.wallet.ledger import Wallet


def story(told: Explanation) -> list[str]:
    """The same in plain sentences, the most important first."""
    return [
        *_standing_story(told),
        *_progress_story(told),
        _wallet_story(told.wallet),
        *_owed_story(told),
        *_subscription_story(told.subscriptions),
        *_migration_story(told.migration),
        *_campaign_story(told.campaigns),
        *_delivery_story(told.deliveries),
        *[
            f"Alert since {_at(one.raised_at)}: {one.detail} ({one.kind}, {one.times} times)."
            for one in told.alerts
        ],
    ]


def _standing_story(told: Explanation) -> list[str]:
    name = told.organization.id
    if told.standing.status is Status.ACTIVE:
        lines = [
            f"{name} is active." if not told.reasons else f"{name} is active, but cannot send now."
        ]
    else:
        lines = [f"{name} is suspended and cannot send."]
    lines += [f"Because {reason.text}." for reason in told.reasons]
    lines += [
        f"Block {held.kind.value}{f' {held.reference}' if held.reference else ''} by {held.placed_by}"
        f" since {_at(held.placed_at)}{f': {held.reason}' if held.reason else ''}."
        for held in told.blocks
    ]
    if told.standing.deadline is not None:
        lines.append(
            f"It keeps sending until {_at(told.standing.deadline)}, and is suspended then if nothing changes."
        )
    return lines


def _progress_story(told: Explanation) -> list[str]:
    standing = told.standing
    if told.stuck is not None:
        return [f"Stuck at {told.stuck.step}: {told.stuck.reason}."]
    if standing.behind:
        return [
            f"Epoch {standing.epoch} is being applied; the world agrees with epoch {standing.applied_epoch}."
        ]
    if not told.receipts:
        return []
    last = told.receipts[0]
    leaked = ""
    if last.leaked_debits is not None:
        leaked = f"; {last.leaked_debits} debits and {last.leaked_messages} messages passed the shut gate"
    return [
        f"Epoch {last.epoch} ({last.status.value}, {last.cause}) is applied since {_at(last.finished_at)}{leaked}."
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
    held = (
        f", {Money(wallet.held_micros, wallet.currency)} of it set aside by holds"
        if wallet.held_micros
        else ""
    )
    balance = Money(wallet.balance_micros, wallet.currency)
    return f"The wallet holds {balance}{held}; its gate is {gate}, and it is {frozen}."


def _owed_story(told: Explanation) -> list[str]:
    if not told.owed_micros:
        return []
    owed = Money(told.owed_micros, told.wallet.currency)
    return [
        f"It owes {owed} of what payers got back after it was spent; the next top-up covers that first."
    ]


def _subscription_story(known: Sequence[Subscription]) -> list[str]:
    if not any(one.is_current for one in known):
        return ["It has no current subscription."]
    lines = []
    for one in known:
        which = "The current subscription" if one.is_current else "Another subscription"
        confirmed = (
            f"confirmed {_at(one.confirmed_at)}"
            if one.confirmed_at
            else "not confirmed by the provider yet"
        )
        lines.append(
            f"{which} is {one.provider.value} {one.id}: {one.snapshot.state.value}, {confirmed}."
        )
        if one.debt is not None:
            shut = "; the provider suspended it for that" if one.debt.shut else ""
            lines.append(f"A payment of it has been missing since {_at(one.debt.since)}{shut}.")
        if one.word is not None:
            lines.append(
                f"A webhook says {one.word.state.value}; that counts until the provider answers something newer."
            )
        if one.alert:
            lines.append(f"About {one.id}: {one.alert}.")
    return lines


def _migration_story(migration: Migration | None) -> list[str]:
    if migration is None:
        return []
    why = f" ({migration.reason})" if migration.reason else ""
    when = f" since {_at(migration.ended_at)}" if migration.ended_at else ""
    where = f"Its migration to {migration.target_provider.value} is {migration.state.value}{when}"
    return [f"{where}: {IN_WORDS_OF_MIGRATIONS[migration.state]}{why}."]


def _campaign_story(known: Sequence[CampaignAt]) -> list[str]:
    lines = []
    for one in known:
        if one.campaign.status in (
            CampaignStatus.DRAFT,
            CampaignStatus.COMPLETED,
            CampaignStatus.CANCELED,
        ):
            continue
        why = ""
        if one.wait is not None:
            until = f", until {_at(one.wait.until)}" if one.wait.until is not None else ""
            since = f" since {_at(one.wait.since)}" if one.wait.since is not None else ""
            why = f": it waits{since}{until}, because {one.wait.text}"
        lines.append(
            f"Campaign {one.campaign.name!r} is {one.campaign.status.value} {_where(one)}{why}."
        )
    return lines


def _where(one: CampaignAt) -> str:
    total = one.campaign.total
    where = (
        f"at message {one.position} of {total}" if one.position else f"with all {total} handed over"
    )
    return (
        f"{where}, {one.unconfirmed} of them not confirmed by Twilio" if one.unconfirmed else where
    )


def _delivery_story(known: Sequence[Delivery]) -> list[str]:
    waiting = [one for one in known if one.status is not InboxStatus.HANDLED]
    return [
        f"{one.event_type or 'An event'} {one.event_id} of {_at(one.received_at)} is {one.status.value}"
        f"{f': {one.outcome}' if one.outcome else ''}."
        for one in waiting
    ]


def _at(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC") if time else "an unknown time"
