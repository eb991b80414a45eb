"""Succession: which subscription decides from now on, and whether any bills for what is served.

The caller of each holds the organization's standing and commits.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import subscriptions
from db.switching import switches
from db.switching.switches import Migration
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, ENDED, PAID, Subscription, Word
from domain.lifecycle.standing import Standing, Status, nobody_bills

NOBODY_BILLS = AlertKind.NOBODY_BILLS


async def name_current(conn: AsyncConnection, organization_id: str, now: datetime) -> None:
    """A paid subscription takes over from none or from a lapsed one; two that bill at once are an
    alert.

    One that is past due bills, too: its provider goes on trying to charge. From one that owes,
    whatever its status says, only one takes over that owes nothing and for which something was paid
    that its payer has not back: a trial pays no debt. Nor does it while only a webhook has told of
    what may be a debt.

    The target of a migration does neither before its time: free until its first charge, it would
    hide a debt.
    """
    known = await subscriptions.of_organization(conn, organization_id)
    current = next((one for one in known if one.is_current), None)
    others = [one for one in known if not one.is_current and one.confirmed_at is not None]
    bills = [one for one in others if one.snapshot.state in BILLING]
    paid = [one for one in bills if one.snapshot.state in PAID]
    migration = await switches.open_one(conn, organization_id) if bills else None
    owes = current is not None and (current.debt is not None or _may_owe(current.word))
    may = [
        one
        for one in paid
        if (migration is None or migration.stops or not migration.leads_to(one))
        and one.word is None
        and (not owes or _pays(one))
    ]
    free = [
        one
        for one in known
        if migration is not None and migration.leads_to(one) and not _charged(migration, now)
    ]
    bill = [one for one in bills if one not in free]
    if may and (
        current is None or current.snapshot.state not in PAID or owes or current.word is not None
    ):
        await subscriptions.make_current(conn, may[0])
    if not bill:
        await alerts.clear(conn, organization_id, AlertKind.TWO_SUBSCRIPTIONS_BILL)
    elif current is not None and current not in free and current.snapshot.state in BILLING:
        detail = f"{current.provider} {current.id} and {bill[0].provider} {bill[0].id}"
        await alerts.raise_(conn, organization_id, AlertKind.TWO_SUBSCRIPTIONS_BILL, detail)


def _pays(one: Subscription) -> bool:
    return one.snapshot.paid_at is not None and one.debt is None and one.paid_back_at is None


def _may_owe(word: Word | None) -> bool:
    return word is not None and (word.state not in ENDED or word.since is not None)


def _charged(migration: Migration, now: datetime) -> bool:
    return migration.first_charge_at is None or migration.first_charge_at <= now


async def note_whether_billed(conn: AsyncConnection, standing: Standing) -> None:
    """What a failed migration told stands to the end of what was paid for: somebody has to act
    before that.
    """
    known = await subscriptions.of_organization(conn, standing.organization_id)
    states = [one.snapshot.state for one in known]
    if nobody_bills(standing, states):
        detail = ", ".join(
            f"{one.provider} {one.id} is {one.snapshot.state.value}" for one in known
        )
        await alerts.raise_(conn, standing.organization_id, NOBODY_BILLS, detail)
    elif standing.status is Status.SUSPENDED or not BILLING.isdisjoint(states):
        await alerts.clear(conn, standing.organization_id, NOBODY_BILLS)
