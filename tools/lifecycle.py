"""The tables of docs/reference/lifecycle.md, generated from the rules: `decide`, and what a webhook
may close by itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from domain.billing.subscription import (
    ENDED,
    OWING,
    Debt,
    Provider,
    Record,
    Snapshot,
    State,
    Subscription,
)
from domain.lifecycle import evidence
from domain.lifecycle.standing import IN_WORDS, Block, Decision, Policy, Status, decide
from providers.paypal import webhooks

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy(grace=timedelta(days=3))
PAID_UNTIL = NOW + 10 * DAY
ID = "I-BW452GLLEP1G"
DEBTS: Mapping[str, Debt] = MappingProxyType(
    {
        "a payment failed: within the grace period": Debt(since=NOW - DAY),
        "after it": Debt(since=NOW - POLICY.grace),
        "the provider suspended it for that": Debt(since=NOW - DAY, shut=True),
    }
)
KNOWN = tuple(state for state in State if state is not State.UNKNOWN)
Row = Sequence[str]

EVENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "BILLING.SUBSCRIPTION.CREATED": ("APPROVAL_PENDING", {}),
        "BILLING.SUBSCRIPTION.ACTIVATED": ("ACTIVE", {}),
        "BILLING.SUBSCRIPTION.UPDATED": ("ACTIVE", {}),
        "BILLING.SUBSCRIPTION.PAYMENT.FAILED": ("ACTIVE", {"failed_payments_count": 1}),
        "BILLING.SUBSCRIPTION.SUSPENDED": ("SUSPENDED", {}),
        "BILLING.SUBSCRIPTION.CANCELLED": ("CANCELLED", {}),
        "BILLING.SUBSCRIPTION.EXPIRED": ("EXPIRED", {}),
    }
)
"""PayPal's events of a subscription, with the status and the billing info that they typically
carry.
"""


def filled(page: str) -> str:
    """The page with each table between its two markers replaced."""
    for name, table in TABLES.items():
        page = fill(page, name, table())
    return page


def fill(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if not (begin in page and end in page):
        raise ValueError(f"the page has no markers for {name}")
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"


def states() -> str:
    """Each state in each relevant circumstance, without and with a debt, and the decision."""
    rows: list[Row] = []
    for state in State:
        times = (
            {"paid for until later": PAID_UNTIL, "that time is over or unknown": None}
            if state in ENDED
            else {"": None}
        )
        for when, until in times.items():
            debts = [None if state in OWING else _decided(state, paid_until=until)]
            debts += [_decided(state, debt=debt, paid_until=until) for debt in DEBTS.values()]
            rows.append((f"`{state}`", when, *(decided or "" for decided in debts)))
    return _table(("subscription", "when", "nothing owed", *DEBTS), rows)


def blocks() -> str:
    """Each block with its meaning."""
    rows = []
    for block in Block:
        decision = decide(Record(state=State.ACTIVE), {block}, POLICY, NOW)
        assert decision.status is Status.SUSPENDED
        rows.append((f"`{block}`", IN_WORDS[block]))
    return _table(("block", "in words"), rows)


def events() -> str:
    """The effect of a newer event on each recorded state, before the webhook is answered."""
    shown = [name.removeprefix("BILLING.SUBSCRIPTION.") for name in EVENTS]
    rows = [(f"`{state}`", *(_effect_of(state, name) for name in EVENTS)) for state in KNOWN]
    return _table(("known", *(f"`{name}`" for name in shown)), rows)


def _effect_of(state: State, name: str) -> str:
    subscription = _subscription(state)
    word = evidence.word_of(subscription, _snapshot_of(name), POLICY, NOW)
    if word is None:
        return "queries"
    if decide(subscription.record, (), POLICY, NOW).status is Status.SUSPENDED:
        return "stays shut"
    after = decide(replace(subscription, word=word).record, (), POLICY, NOW)
    return "**shuts**" if after.status is Status.SUSPENDED else "deadline"


def _snapshot_of(name: str) -> Snapshot:
    status, billing = EVENTS[name]
    resource = {
        "id": ID,
        "status": status,
        "status_update_time": NOW.isoformat(),
        "billing_info": billing,
    }
    envelope = {
        "id": "WH-1",
        "event_type": name,
        "create_time": NOW.isoformat(),
        "resource": resource,
    }
    snapshot = webhooks.event(envelope).snapshot
    assert snapshot is not None
    return snapshot


def _subscription(state: State) -> Subscription:
    return Subscription(
        organization_id="acme",
        provider=Provider.PAYPAL,
        id=ID,
        is_current=True,
        snapshot=Snapshot(state=state, as_of=NOW - DAY, paid_until=PAID_UNTIL),
        debt=Debt(since=NOW - DAY, shut=state is State.SUSPENDED_NONPAYMENT)
        if state in OWING
        else None,
        word=None,
        doubted_at=None,
        confirmed_at=None,
        alert=None,
        checkout_url=None,
    )


def _decided(state: State, *, debt: Debt | None = None, paid_until: datetime | None = None) -> str:
    return _in_words(decide(Record(state=state, debt=debt, paid_until=paid_until), (), POLICY, NOW))


def _in_words(decision: Decision) -> str:
    if decision.status is Status.SUSPENDED:
        return f"**suspended** ({', '.join(sorted(decision.blocks))})"
    return "active, with a deadline" if decision.deadline else "active"


def _table(head: Row, rows: Iterable[Row]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"states": states, "blocks": blocks, "events": events}
)
