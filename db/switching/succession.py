"""Decides which subscription is current, and whether any bills for the service that is provided.

The caller of each function holds the organization's standing and commits.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import subscriptions
from db.billing.decisions import Facts
from db.switching import switches
from db.switching.switches import Switch
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, ENDED, PAID, Subscription, Word
from domain.lifecycle.standing import Standing, Status, nobody_bills


async def name_current(conn: AsyncConnection, organization_id: str, now: datetime) -> None:
    """A paid subscription replaces none or a lapsed one; two that bill at once raise an alert.

    A past-due subscription bills, too: its provider keeps trying to charge. A subscription with a
    debt, whatever its status, is replaced only by one that owes nothing and has a payment which was
    not refunded: a trial pays no debt. Nor is it replaced while a possible debt was reported by a
    webhook only.

    The target of a switch does neither before its time: free until its first charge, it would
    hide a debt.
    """
    linked = await subscriptions.of_organization(conn, organization_id)
    current = next((subscription for subscription in linked if subscription.is_current), None)
    others = [
        subscription
        for subscription in linked
        if not subscription.is_current and subscription.confirmed_at is not None
    ]
    bills = [subscription for subscription in others if subscription.snapshot.state in BILLING]
    paid = [subscription for subscription in bills if subscription.snapshot.state in PAID]
    switch = await switches.open_one(conn, organization_id) if bills else None
    owes = current is not None and (current.debt is not None or _may_owe(current.word))
    may = [
        subscription
        for subscription in paid
        if (switch is None or switch.stops or not switch.leads_to(subscription))
        and subscription.word is None
        and (not owes or _pays(subscription))
    ]
    free = [
        subscription
        for subscription in linked
        if switch is not None and switch.leads_to(subscription) and not _charged(switch, now)
    ]
    bill = [subscription for subscription in bills if subscription not in free]
    if may and (
        current is None or current.snapshot.state not in PAID or owes or current.word is not None
    ):
        await subscriptions.make_current(conn, may[0])
    if not bill:
        await alerts.clear(conn, organization_id, AlertKind.TWO_SUBSCRIPTIONS_BILL)
    elif current is not None and current not in free and current.snapshot.state in BILLING:
        detail = f"{current.provider} {current.id} and {bill[0].provider} {bill[0].id}"
        await alerts.raise_(conn, organization_id, AlertKind.TWO_SUBSCRIPTIONS_BILL, detail)


def _pays(subscription: Subscription) -> bool:
    return (
        subscription.snapshot.paid_at is not None
        and subscription.debt is None
        and subscription.paid_back_at is None
    )


def _may_owe(word: Word | None) -> bool:
    return word is not None and (word.state not in ENDED or word.since is not None)


def _charged(switch: Switch, now: datetime) -> bool:
    return switch.first_charge_at is None or switch.first_charge_at <= now


async def note_whether_billed(conn: AsyncConnection, standing: Standing, facts: Facts) -> None:
    """A failed switch's alert stays open until the paid period ends: an operator has to act before
    that.
    """
    if facts.others or facts.current is None:
        linked = await subscriptions.of_organization(conn, standing.organization_id)
    else:
        linked = [facts.current]
    states = [subscription.snapshot.state for subscription in linked]
    if nobody_bills(standing, states):
        detail = ", ".join(
            f"{subscription.provider} {subscription.id} is {subscription.snapshot.state.value}"
            for subscription in linked
        )
        await alerts.raise_(conn, standing.organization_id, AlertKind.NOBODY_BILLS, detail)
    elif AlertKind.NOBODY_BILLS in facts.alerts and (
        standing.status is Status.SUSPENDED or not BILLING.isdisjoint(states)
    ):
        await alerts.clear(conn, standing.organization_id, AlertKind.NOBODY_BILLS)
