"""Measures the carrier's bill: simulated days of hostile billing at Twilio, after which its own books
and ours are compared, and how soon a usage trigger suspends.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from temporalio.client import Client

from bench import load
from bench.bill import demand, own, plan, triggers
from bench.bill.days import Days, Subaccount, twilios_time
from bench.bill.demand import Demand
from bench.bill.own import Own
from bench.load import Target
from bench.outcome import BenchFailed, percentile
from db.audit.certify import examine
from db.carrier import bill
from domain.carrier.bill import Line, month_of
from domain.carrier.categories import TOTAL
from runtime.database import snapshot

AMONG, MOST_SECONDS = 100_000, 60
POOR = 0.05
"""A twentieth has a wallet that rent alone nearly empties: what else it uses is owed."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Kill a process and start another one: the one that reads the bill in simulated time, and
    Tollgate's own worker.
    """

    reader: Callable[[], Awaitable[None]]
    tollgates: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    organizations: int
    days: int
    triggers: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Twilio's books, added up by the simulator, and our bill; in micros."""

    books: int
    paid: int
    absorbed: int
    unpaid: int
    nameless: int
    categories: int

    @property
    def unexplained(self) -> int:
        """What the books have and the bill does not, or has without a category."""
        return abs(self.books - self.paid - self.absorbed - self.unpaid) + abs(self.nameless)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    size: Size
    compared: Compared
    corrected: int
    killed: int
    readings: int
    calls: int
    foreign_sent: int
    foreign_found: int
    suspended_s: Sequence[float]
    demand: Demand
    own: Own
    certified: bool

    @property
    def suspended_p99(self) -> float:
        return percentile([*self.suspended_s], 99)

    @property
    def holds(self) -> bool:
        found = self.foreign_found == self.foreign_sent
        explained = self.compared.unexplained == 0
        return self.certified and found and explained and self.suspended_p99 <= MOST_SECONDS

    def as_json(self) -> dict[str, Any]:
        return {
            "organizations": self.size.organizations,
            "days": self.size.days,
            "categories": self.compared.categories,
            "books_micros": self.compared.books,
            "paid_micros": self.compared.paid,
            "absorbed_micros": self.compared.absorbed,
            "unpaid_micros": self.compared.unpaid,
            "unexplained_micros": self.compared.unexplained,
            "corrections": self.corrected,
            "workers_killed": self.killed + self.own.workers_killed,
            "foreign_sent": self.foreign_sent,
            "foreign_found": self.foreign_found,
            "own_messages": self.own.sent,
            "campaign_pace_with_reading": round(self.own.ratio, 3),
            "campaign_pace_pairs": [round(each, 3) for each in self.own.ratios],
            "trigger_to_suspended_s_p99": round(self.suspended_p99, 2),
            "requests_per_reading": round(self.calls / max(1, self.readings), 3),
            "requests_per_minute_at_100k": round(self.demand.per_minute, 1),
            "seen_after_minutes_p50_at_100k": _minutes(self.demand.seen_after_p50),
            "seen_after_minutes_p99_at_100k": _minutes(self.demand.seen_after_p99),
            "certify": self.certified,
        }


async def run(
    target: Target,
    client: Client,
    queue: str,
    size: Size,
    replacing: Replace,
    say: Say,
) -> Report:
    """Measure everything in one run. Raises `BenchFailed` if something does not answer."""
    days = Days(
        target=target,
        client=client,
        queue=queue,
        accounts=(),
        days=size.days,
        replace_worker=replacing.reader,
    )
    await days.begin()
    say(f"onboarding {size.organizations} organizations")
    days.accounts = await _onboard(target, size.organizations, days.length)
    for policy in plan.POLICIES:
        body = {name: value for name, value in policy.items() if name != "prefix"}
        await load.ok(target.api.put(f"/v1/carrier-policies/{policy['prefix']}", json=body))
    say(f"{size.days} days at Twilio")
    began = await twilios_time(target)
    await days.run()
    suspended = await triggers.suspended_sids(target)
    active = [each for each in days.accounts if each.sid not in suspended]
    say("campaigns, with the reading going on and without it")
    rich = [each for each in active if not each.organization_id.startswith("poor-")]
    senders = rich[-1 - 2 * own.PAIRS :]
    sending = await own.send(target, client, queue, senders, replacing.tollgates)
    await days.read_all()
    compared = await _compare(target, began)
    sent, found = await _foreign(target)
    say("usage triggers")
    active = active[: size.triggers]
    await triggers.make(client, queue, [each.organization_id for each in active])
    took = await triggers.suspended_seconds(target, active)
    after = await _compare(target, began)
    say("certifying")
    findings = await examine(target.engine)
    for finding in findings:
        if not finding.holds:
            say(f"broken: {finding}")
    changes = [days.changes[number] for number in range(size.organizations)]
    return Report(
        size=replace(size, triggers=len(active)),
        compared=after if after.unexplained else compared,
        corrected=days.corrected,
        killed=days.killed,
        readings=sum(each.readings for each in days.reads),
        calls=sum(each.calls for each in days.reads),
        foreign_sent=sent,
        foreign_found=found,
        suspended_s=took,
        own=sending,
        demand=demand.at(AMONG, changes, began, began + timedelta(days=size.days)),
        certified=all(finding.holds for finding in findings),
    )


async def _onboard(target: Target, number: int, ago: timedelta) -> list[Subaccount]:
    """They exist since before the first day, which no API can say: the time is set in the tables."""
    poor = max(1, int(number * POOR))
    await load.onboard(target, "BILL", number - poor, credit="400.00")
    await load.onboard(target, "POOR", poor, credit="1.20")
    tokens = {
        each["sid"]: each["auth_token"]
        for each in (await load.ok(target.twilio.get("/_sim/accounts"))).json()["accounts"]
    }
    async with target.engine.begin() as conn:
        await conn.execute(
            text("UPDATE organizations SET created_at = created_at - :ago"), {"ago": ago}
        )
        rows = await conn.execute(
            text("SELECT id, twilio_account_sid FROM organizations ORDER BY id")
        )
        return [
            Subaccount(
                organization_id=row.id,
                sid=row.twilio_account_sid,
                auth_token=tokens[row.twilio_account_sid],
                number=f"+1555{at:07}",
            )
            for at, row in enumerate(rows)
        ]


async def _compare(target: Target, began: datetime) -> Compared:
    books = (await load.ok(target.twilio.get("/_sim/usage/entries"))).json()
    lines: list[Line] = []
    month, last = month_of(began.date()), month_of((await twilios_time(target)).date())
    async with snapshot(target.engine) as conn:
        while month.first <= last.first:
            lines += (await bill.get(conn, month)).lines
            month = month_of(month.last + timedelta(days=1))
    return Compared(
        books=books["price_micros"],
        paid=sum(line.paid_micros for line in lines),
        absorbed=sum(line.absorbed_micros for line in lines),
        unpaid=sum(line.unpaid_micros for line in lines),
        nameless=sum(
            line.charged_micros for line in lines if line.category == TOTAL and not line.account_sid
        ),
        categories=len({line.category for line in lines} - {TOTAL}),
    )


async def _foreign(target: Target) -> tuple[int, int]:
    """How many messages at Twilio are not ours, and how many of them we have."""
    listed = (await load.ok(target.twilio.get("/_sim/messages?since=-1"))).json()["messages"]
    async with target.engine.connect() as conn:
        rows = await conn.execute(text("SELECT message_sid FROM foreign_messages WHERE listed"))
        found = frozenset(rows.scalars())
        rows = await conn.execute(text("SELECT provider_sid FROM messages"))
        ours = frozenset(rows.scalars())
    sent = frozenset(each["sid"] for each in listed) - ours
    if not found <= sent:
        raise BenchFailed(f"{len(found - sent)} foreign messages were never sent")
    return len(sent), len(found)


def _minutes(length: timedelta) -> float:
    return round(length / timedelta(minutes=1), 1)
