"""The inbox stores every delivery once: duplicates, concurrent ones, forged ones, and those of an
unknown organization.
"""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.inbox import adoption, deliveries, listed_events, parking, pending_deliveries
from db.inbox.deliveries import FIRST_RETRY, LAST_RETRY, MOST_BODIES, UNDECIDED, Delivery
from db.lifecycle import unnotified
from domain.billing.deliveries import InboxStatus
from domain.billing.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import Provider
from tests.builders import (
    ORGANIZATION,
    broken_claims,
    event,
    note_subscription,
    number,
    onboard,
    receive,
    rows,
    run,
    subscribe,
)

CAPTURE = MoneyReference(kind=MoneyObject.CAPTURE, id="CAP-1")
SALE = MoneyReference(kind=MoneyObject.SALE, id="SALE-1")


async def stored(engine: AsyncEngine) -> int:
    return await number(engine, "SELECT count(*) FROM inbox")


async def adopt(engine: AsyncEngine, after: timedelta) -> list[str]:
    """Retry the parked deliveries, this long after now by the database's clock."""
    [row] = await rows(engine, "SELECT clock_timestamp() AS now")
    async with engine.begin() as conn:
        return (await adoption.adopt(conn, now=row.now + after)).assigned


async def only(engine: AsyncEngine) -> Delivery:
    async with engine.connect() as conn:
        parked = [parked.delivery for parked in await parking.page(conn, after=0, limit=10)]
        waiting = parked or await pending_deliveries.of_organization(conn, ORGANIZATION, limit=10)
    [delivery] = waiting
    return delivery


async def test_a_delivery_waits_for_its_organization_lifecycle(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    delivery = await receive(engine, event())

    assert delivery.deliveries == 1
    assert (delivery.organization_id, delivery.status) == (ORGANIZATION, InboxStatus.UNHANDLED)
    async with engine.connect() as conn:
        assert await pending_deliveries.unhandled(conn, ORGANIZATION) == [delivery]


async def test_the_same_event_25_times_at_once_is_one_row(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    answers = await asyncio.gather(*(receive(engine, event()) for _ in range(25)))

    assert sorted(delivery.deliveries for delivery in answers) == list(range(1, 26))
    assert len({delivery.id for delivery in answers}) == 1
    assert await stored(engine) == 1
    assert (await only(engine)).deliveries == 25


async def test_an_event_without_a_transmission_id_counts_its_own_repeats_only(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    first = await receive(engine, event(id_="WH-1", transmission_id=None))
    second = await receive(engine, event(id_="WH-2", transmission_id=None))

    again = await receive(engine, event(id_="WH-2", transmission_id=None))

    assert again.id == second.id != first.id
    counted = await rows(engine, "SELECT event_id, deliveries FROM inbox ORDER BY id")
    assert [tuple(row) for row in counted] == [("WH-1", 1), ("WH-2", 2)]


async def test_an_event_id_repeated_with_another_body_and_transmission_is_kept(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event(transmission_id="t-1"), b"one")

    new = await receive(engine, event(transmission_id="t-2"), b"two")
    again = await receive(engine, event(transmission_id="t-2"), b"two")

    assert (new.deliveries, again.deliveries) == (1, 2)
    assert await stored(engine) == 2


async def test_two_bodies_under_one_event_id_at_once_are_both_kept(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    answers = await asyncio.gather(
        *(
            receive(engine, event(transmission_id=f"t-{n % 2}"), b"one" if n % 2 else b"two")
            for n in range(10)
        )
    )

    assert sum(delivery.deliveries == 1 for delivery in answers) == 2
    assert await stored(engine) == 2


async def test_each_body_of_a_transmission_is_kept_whichever_came_first(
    engine: AsyncEngine,
) -> None:
    """PayPal signs a checksum: it is unknown which of them is genuine."""
    await onboard(engine)
    await subscribe(engine)
    await receive(
        engine, event(id_="WH-1", transmission_id="t-1"), b"forged, with the same event id"
    )

    same_id = await receive(engine, event(id_="WH-1", transmission_id="t-1"), b"genuine")
    other_id = await receive(
        engine, event(id_="WH-2", transmission_id="t-1"), b"forged, with another event id"
    )
    again = await receive(engine, event(id_="WH-1", transmission_id="t-1"), b"genuine")

    assert (same_id.deliveries, other_id.deliveries, again.deliveries) == (1, 1, 2)
    assert again.id == same_id.id
    assert await stored(engine) == 3
    assert await broken_claims(engine) == set()


async def test_a_transmission_stores_no_more_bodies_than_the_limit_for_forgeries(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    for n in range(MOST_BODIES):
        assert (
            await receive(engine, event(id_=f"WH-{n % 3}", transmission_id="t-1"), b"%d" % n)
        ).kept

    late_body = await receive(engine, event(id_="WH-1", transmission_id="t-1"), b"one more")
    another = await receive(
        engine, event(id_="WH-1", transmission_id="t-2"), b"of another transmission"
    )
    repeated = await receive(engine, event(id_="WH-0", transmission_id="t-1"), b"0")

    assert (late_body.kept, another.kept, repeated.kept) == (False, True, True)
    assert await stored(engine) == MOST_BODIES + 1


async def test_a_delivery_repeated_after_the_link_is_handled(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    assert (await receive(engine, event())).status is InboxStatus.PARKED
    await note_subscription(engine, "I-ACME")

    again = await receive(engine, event())

    assert (again.deliveries, again.organization_id, again.status) == (
        2,
        ORGANIZATION,
        InboxStatus.UNHANDLED,
    )


@pytest.mark.parametrize(
    "forged",
    [
        event(id_="WH-1", subscription_id="I-OTHER"),
        event(id_="WH-1", kind=EventKind.IGNORED),
        event(id_="WH-1", money=CAPTURE),
        event(id_="WH-1", subscription_id=None, custom_id="other"),
    ],
    ids=["of another subscription", "of another type", "of a payment", "of another organization"],
)
async def test_an_event_whose_id_a_forgery_took_is_missed_when_it_is_listed(
    engine: AsyncEngine, forged: BillingEvent
) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, forged, b"forged")

    async with engine.connect() as conn:
        before = await listed_events.stored(conn, Provider.PAYPAL, [event(id_="WH-1")])
    await receive(engine, event(id_="WH-1"), b"genuine")
    async with engine.connect() as conn:
        after = await listed_events.stored(conn, Provider.PAYPAL, [event(id_="WH-1")])

    assert (before, after) == (set(), {"WH-1"})


@pytest.mark.parametrize(
    ("billing_event", "status", "outcome"),
    [
        (event(), InboxStatus.PARKED, "unknown subscription I-ACME"),
        (event(subscription_id=None, money=SALE), InboxStatus.PARKED, "unknown sale SALE-1"),
        (event(subscription_id=None), InboxStatus.PARKED, "unknown subject"),
        (event(problem="no time"), InboxStatus.PARKED, "not understood: no time"),
        (
            event(kind=EventKind.IGNORED),
            InboxStatus.HANDLED,
            "nothing to do for this type of event",
        ),
        (
            event(subscription_id=None, custom_id="acme:order 7", money=CAPTURE),
            InboxStatus.UNHANDLED,
            "",
        ),
        (
            event(subscription_id=None, custom_id="nobody", money=CAPTURE),
            InboxStatus.PARKED,
            "unknown capture CAP-1",
        ),
        (event(custom_id="acme"), InboxStatus.UNHANDLED, ""),
    ],
)
async def test_the_first_status_of_a_delivery(
    engine: AsyncEngine, billing_event: BillingEvent, status: InboxStatus, outcome: str
) -> None:
    await onboard(engine)

    delivery = await receive(engine, billing_event)

    assert (delivery.status, delivery.outcome) == (status, outcome)


async def test_only_headers_that_tell_of_the_delivery_are_kept(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        headers = {
            "paypal-transmission-id": "t",
            "authorization": "secret",
            "cookie": "c",
            "user-agent": "PayPal",
        }
        await deliveries.receive(conn, event(), b"", headers, None)

    [row] = await rows(engine, "SELECT headers FROM inbox")
    assert row.headers == {"paypal-transmission-id": "t", "user-agent": "PayPal"}


async def test_a_parked_delivery_is_adopted_after_its_subscription_is_linked(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await receive(engine, event())
    assert await adopt(engine, LAST_RETRY) == []
    await subscribe(engine)

    assert await adopt(engine, timedelta(0)) == [ORGANIZATION]
    assert await adopt(engine, LAST_RETRY) == []
    assert (await only(engine)).status is InboxStatus.UNHANDLED


async def test_an_adopted_delivery_notifies_at_once_no_matter_how_long_it_was_parked(
    engine: AsyncEngine,
) -> None:
    """A refund that waited a day for its payment takes the money as soon as that is booked."""
    await onboard(engine)
    await receive(engine, event())
    await run(
        engine,
        "UPDATE inbox SET attempts = 15, next_attempt_at = clock_timestamp() + interval '20 hours'",
    )
    await subscribe(engine)  # the deliveries parked for it are due
    [row] = await rows(engine, "SELECT clock_timestamp() AS now")

    async with engine.begin() as conn:
        adopted = (await adoption.adopt(conn, now=row.now)).assigned
    async with engine.begin() as conn:
        rung = await unnotified.organizations(conn, now=row.now, limit=10)

    assert adopted == rung == [ORGANIZATION]


def backoff(attempts: int) -> timedelta:
    """From seconds to a day."""
    return FIRST_RETRY * 2**attempts if attempts < 15 else LAST_RETRY


async def test_a_repeatedly_parked_delivery_waits_ever_longer(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    delivery = await receive(engine, event())

    for attempts in (0, 1, 14, 15, 20, 21, 1_000, 10**6):
        await run(engine, "UPDATE inbox SET attempts = :attempts", attempts=attempts)
        [before] = await rows(engine, "SELECT clock_timestamp() AS now")
        async with engine.begin() as conn:
            await parking.park(conn, delivery.id, "unknown yet")
        [after] = await rows(engine, "SELECT next_attempt_at, clock_timestamp() AS now FROM inbox")

        assert before.now <= after.next_attempt_at - backoff(attempts) <= after.now


async def test_a_parked_delivery_is_tried_ever_more_rarely(engine: AsyncEngine) -> None:
    await receive(engine, event())
    waits = []
    for attempt in range(20):
        [before] = await rows(engine, "SELECT next_attempt_at, attempts FROM inbox")
        async with engine.begin() as conn:
            await adoption.adopt(conn, now=before.next_attempt_at)
        [after] = await rows(engine, "SELECT next_attempt_at, attempts FROM inbox")
        assert after.attempts == attempt + 1
        waits.append(after.next_attempt_at - before.next_attempt_at)

    assert waits == [backoff(attempt) for attempt in range(20)]


async def test_what_a_person_must_look_at_is_not_adopted(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event(problem="no time"))

    assert await adopt(engine, LAST_RETRY) == []


async def test_rows_locked_by_another_process_are_skipped(engine: AsyncEngine) -> None:
    await receive(engine, event(id_="WH-1"))
    await receive(engine, event(id_="WH-2", subscription_id="I-OTHER"))
    await onboard(engine)
    await note_subscription(engine, "I-ACME")
    await onboard(engine, "other")
    await note_subscription(engine, "I-OTHER", organization_id="other")
    [row] = await rows(engine, "SELECT clock_timestamp() AS now")
    async with engine.begin() as first:
        mine = (await adoption.adopt(first, now=row.now + LAST_RETRY, limit=1)).assigned

        assert mine == [ORGANIZATION]
        assert await adopt(engine, LAST_RETRY) == ["other"]


async def test_a_handled_delivery_waits_no_more_and_a_parked_one_stays_parked(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await subscribe(engine)
    first = await receive(engine, event(id_="WH-1"))
    second = await receive(engine, event(id_="WH-2"))
    async with engine.begin() as conn:
        await parking.park(conn, second.id, "for a person")
        await deliveries.mark_handled(conn, [first.id, second.id], "done")

    found = await rows(engine, "SELECT status, outcome FROM inbox ORDER BY id")
    assert [tuple(row) for row in found] == [("handled", "done"), ("parked", "for a person")]


async def test_an_event_of_a_payment_finds_the_organization_by_our_own_row(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await onboard(engine, "other")
    await run(
        engine,
        "INSERT INTO payments (organization_id, provider, object_id, kind, amount_micros, currency)"
        " VALUES ('acme', 'paypal', 'SALE-1', 'subscription', 1, 'USD')",
    )

    delivery = await receive(engine, event(subscription_id=None, custom_id="other", money=SALE))

    assert delivery.organization_id == ORGANIZATION


async def test_the_backlog_is_what_waits_and_what_is_parked(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)
    await receive(engine, event())
    await receive(engine, event(id_="WH-2", subscription_id="I-NOBODY", money=SALE))
    # without money and without an organization
    await receive(engine, event(id_="WH-3", subscription_id="I-NOBODY"))
    pending = await receive(engine, event(id_="WH-4", money=CAPTURE))
    async with engine.begin() as conn:
        await parking.park(conn, pending.id, f"{UNDECIDED}capture CAP-1 is pending")
    await run(engine, "UPDATE inbox SET received_at = received_at - interval '90 seconds'")

    async with engine.connect() as conn:
        backlog = await pending_deliveries.backlog(conn)

    assert (backlog.unhandled, backlog.parked) == (1, 1)
    assert backlog.oldest >= timedelta(seconds=90)
