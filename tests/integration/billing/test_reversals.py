"""Reversals: taken from the wallet once, never below zero, and the rest is owed and recovered
first.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.billing import payments, receivables, reversals
from db.billing.payments import PaidBack
from db.billing.receivables import NotBooked
from db.billing.reversals import (
    Booked,
    NeverCredited,
    Nothing,
    OfSubscription,
    OtherCurrency,
    Outcome,
    UnknownPayment,
)
from db.lifecycle import standings, unnotified
from db.wallet import holds, wallets
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus, Reversal
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block, Status
from domain.money import Money
from domain.wallet.debts import Source
from domain.wallet.entries import credit, debit
from domain.wallet.holds import Hold
from domain.wallet.ledger import Credited, Debited
from tests.builders import (
    NOON,
    ORGANIZATION,
    balance,
    block,
    broken_claims,
    freeze,
    number,
    onboard,
    open_gate,
    post,
    post_one,
    rows,
    run,
    standing,
    subscribe,
    until_it_waits_for,
    usd,
    wallet,
)
from tests.soak import Examples, also_soaking


def capture(amount: str, id_: str = "CAP", *, kind: MoneyObject = MoneyObject.CAPTURE) -> Payment:
    return Payment(
        reference=MoneyReference(kind=kind, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=usd(amount),
        custom_id=ORGANIZATION,
    )


async def pay(
    engine: AsyncEngine, amount: str, id_: str = "CAP", *, kind: MoneyObject = MoneyObject.CAPTURE
) -> None:
    paid = capture(amount, id_, kind=kind)
    if kind is MoneyObject.SALE:
        async with engine.begin() as conn:
            await payments.book_subscription_payment(conn, ORGANIZATION, Provider.PAYPAL, paid)
        return
    assert isinstance(await credited(engine, paid), Credited)


async def take_back(
    engine: AsyncEngine,
    amount: Money,
    id_: str = "R-1",
    *,
    of: str = "CAP",
    stands: bool = True,
    what: str = "refund",
    organization_id: str = ORGANIZATION,
) -> Outcome:
    reversal = Reversal(
        id=id_, what=what, payment_id=of, amount=amount, stands=stands, occurred_at=NOON
    )
    async with engine.begin() as conn:
        return await reversals.book(conn, organization_id, Provider.PAYPAL, reversal, now=NOON)


async def owing_ten(engine: AsyncEngine) -> None:
    """A payment of ten was fully spent and then refunded."""
    await onboard(engine, balance="0")
    await pay(engine, "10")
    await post(engine, debit("spent", usd("10")))
    await take_back(engine, usd("10"))


async def owed(engine: AsyncEngine) -> Money:
    async with engine.connect() as conn:
        return Money((await receivables.owed(conn, ORGANIZATION)).total, "USD")


async def blocked(engine: AsyncEngine) -> bool:
    async with engine.connect() as conn:
        blocks = await standings.held_blocks(conn, ORGANIZATION)
    return any((block.kind, block.reference) == (Block.DISPUTE, "receivable") for block in blocks)


async def entries(engine: AsyncEngine) -> list[tuple[str, int]]:
    return [
        tuple(row)
        for row in await rows(engine, "SELECT kind, amount_micros FROM ledger_entries ORDER BY seq")
    ]


async def test_a_refund_leaves_the_wallet_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")

    outcomes = [await take_back(engine, usd("10")) for _ in range(3)]

    assert outcomes == [Booked(counted=usd("10"), reported=usd("10"), owed=usd("0"))] * 3
    assert await entries(engine) == [("credit", 25_000_000), ("reversal", -10_000_000)]
    assert (await standing(engine)).status is Status.ACTIVE
    assert await broken_claims(engine) == set()


async def test_a_payment_noted_for_no_named_subscription_and_then_credited_is_taken_back_by_its_refund(
    engine: AsyncEngine,
) -> None:
    """As for a one-off invoice at Stripe, or a one-time sale at PayPal: both are also reported as a
    capture.
    """
    await onboard(engine, balance="0")
    await pay(engine, "25", kind=MoneyObject.SALE)
    await pay(engine, "25")

    outcome = await take_back(engine, usd("10"))

    assert outcome == Booked(counted=usd("10"), reported=usd("10"), owed=usd("0"))
    assert await balance(engine) == usd("15")
    assert await rows(engine, "SELECT kind, reference_id FROM payments") == [
        ("topup", "paypal:capture:CAP")
    ]
    assert await broken_claims(engine) == set()


async def test_a_refund_noted_before_its_payment_is_credited_is_taken_from_the_credit(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25", kind=MoneyObject.SALE)
    assert await take_back(engine, usd("10")) == OfSubscription()
    await pay(engine, "25")

    assert await balance(engine) == usd("15")
    assert await take_back(engine, usd("10")) == Booked(
        counted=usd("10"), reported=usd("10"), owed=usd("0")
    )
    assert await take_back(engine, usd("10"), stands=False) == Booked(
        counted=usd("0"), reported=usd("10"), owed=usd("0"), returned=True
    )
    assert await balance(engine) == usd("25")
    assert await broken_claims(engine) == set()


async def test_a_payment_of_a_named_subscription_is_never_credited(engine: AsyncEngine) -> None:
    """Anybody who saw genuine headers can name its id as a capture, under which PayPal finds it,
    too.
    """
    await onboard(engine, balance="0")
    sale = replace(capture("25", kind=MoneyObject.SALE), subscription_id="I-1")
    async with engine.begin() as conn:
        assert await payments.book_subscription_payment(conn, ORGANIZATION, Provider.PAYPAL, sale)

    assert await credited(engine, capture("25")) == payments.OfSubscription("I-1")
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_a_payment_that_is_read_as_a_sale_and_as_a_capture_is_credited_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    assert isinstance(await credited(engine, capture("25", kind=MoneyObject.SALE)), Credited)

    assert isinstance(await credited(engine, capture("25")), Credited)

    assert await balance(engine) == usd("25")
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [
        ({"what": "dispute"}, {"what": "reversal"}, "0"),
        ({"what": "reversal"}, {"what": "dispute"}, "0"),
        ({"what": "refund"}, {"what": "dispute"}, "10"),
        ({"what": "dispute"}, {"what": "refund"}, "10"),
        ({"what": "dispute", "amount": usd("5")}, {"what": "reversal"}, "10"),
        ({"what": "dispute", "of": "OTHER"}, {"what": "reversal"}, "10"),
    ],
)
async def test_only_two_facts_of_one_amount_and_payment_and_no_refund_are_the_same_money(
    engine: AsyncEngine, first: dict[str, Any], second: dict[str, Any], counted: str
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await pay(engine, "25", "OTHER")
    await take_back(engine, **{"amount": usd("10"), "id_": "first", **first})

    outcome = await take_back(engine, **{"amount": usd("10"), "id_": "second", **second})

    assert outcome == Booked(counted=usd(counted), reported=usd("10"), owed=usd("0"))
    assert await broken_claims(engine) == set()


async def test_a_returned_reversal_is_not_the_same_money_as_a_new_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    for stands in (True, False):
        await take_back(engine, usd("25"), "won", what="dispute", stands=stands)

    outcome = await take_back(engine, usd("25"), "lost", what="dispute")

    assert outcome == Booked(counted=usd("25"), reported=usd("25"), owed=usd("0"))
    assert await balance(engine) == usd("0")


async def test_no_refund_counts_once_more_went_back_than_the_payment_now_reports(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25", kind=MoneyObject.SALE)
    await take_back(engine, usd("25"))
    await pay(engine, "10")

    outcome = await take_back(engine, usd("5"), "R-2")

    assert isinstance(outcome, Booked)
    assert outcome.counted == usd("0")


async def test_a_recovery_that_the_ledger_refuses_keeps_nothing_of_the_others_of_its_list(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    for id_ in ("A", "B"):
        await pay(engine, "10", id_)
    await post(engine, debit("spent", usd("20")))
    for id_ in ("A", "B"):
        await take_back(engine, usd("10"), f"R-{id_}", of=id_)

    await post(engine, credit("recovery:paypal:R-B:1", usd("40")))
    async with engine.begin() as conn:
        recovered = await receivables.recover(conn, ORGANIZATION, now=NOON)

    assert not recovered
    assert await balance(engine) == usd("40")
    assert await owed(engine) == usd("20")
    assert await broken_claims(engine) == set()


async def test_a_payment_of_the_same_id_at_another_provider_is_another_one(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    for provider in Provider:
        async with engine.begin() as conn:
            await payments.book_topup(conn, ORGANIZATION, provider, capture("25"), now=NOON)
    outcomes = []
    for provider, id_ in zip(Provider, ("first", "second"), strict=True):
        reversal = Reversal(id=id_, what="dispute", payment_id="CAP", amount=usd("25"), stands=True)
        async with engine.begin() as conn:
            outcomes.append(await reversals.book(conn, ORGANIZATION, provider, reversal, now=NOON))

    assert outcomes == [Booked(counted=usd("25"), reported=usd("25"), owed=usd("0"))] * 2
    assert await balance(engine) == usd("0")


async def test_the_same_refund_by_many_at_once_is_taken_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")

    await asyncio.gather(*(take_back(engine, usd("10")) for _ in range(10)))

    assert await balance(engine) == usd("15")
    assert await broken_claims(engine) == set()


async def test_a_reversal_of_spent_money_is_owed_and_shuts_the_gate_in_the_same_transaction(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await post(engine, debit("spent", usd("20")))

    outcome = await take_back(engine, usd("25"))

    assert outcome == Booked(counted=usd("25"), reported=usd("25"), owed=usd("20"))
    assert await balance(engine) == usd("0")
    assert (await wallet(engine)).gate_open is False
    assert (await standing(engine)).blocks == {Block.DISPUTE}
    assert await broken_claims(engine) == set()


async def test_a_reversal_does_not_touch_held_money(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    async with engine.begin() as conn:
        hold = Hold(reference_id="h", amount=usd("20"), expires_at=NOON + timedelta(days=1))
        await holds.reserve(conn, ORGANIZATION, hold, now=NOON)

    outcome = await take_back(engine, usd("25"))

    assert isinstance(outcome, Booked)
    assert outcome.owed == usd("20")
    assert await balance(engine) == usd("20")
    # it is not even tried: a try would raise an alert
    async with engine.connect() as conn:
        assert [alert.kind for alert in await alerts.standing(conn, ORGANIZATION)] == ["receivable"]
    assert await broken_claims(engine) == set()


async def test_a_freeze_or_a_shut_gate_does_not_stop_a_reversal(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await freeze(engine, by_operator=True)
    await block(engine)
    await freeze(engine)

    await take_back(engine, usd("25"))

    assert await balance(engine) == usd("0")
    assert await owed(engine) == usd("0")
    assert await broken_claims(engine) == set()


async def test_the_next_top_up_pays_what_is_owed_first_and_the_oldest_first(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    for id_ in ("A", "B"):
        await pay(engine, "10", id_)
    await post(engine, debit("spent", usd("20")))
    await take_back(engine, usd("10"), "R-A", of="A")
    await take_back(engine, usd("10"), "R-B", of="B")

    await pay(engine, "15", "C")
    half = await owed(engine), await balance(engine), await blocked(engine)
    await pay(engine, "15", "D")

    parts = [
        tuple(row)
        for row in await rows(
            engine,
            "SELECT object_id, recovered_micros, recoveries FROM reversals ORDER BY object_id",
        )
    ]
    assert half == (usd("5"), usd("0"), True)
    assert parts == [("R-A", 10_000_000, 1), ("R-B", 10_000_000, 2)]
    assert (await owed(engine), await balance(engine), await blocked(engine)) == (
        usd("0"),
        usd("10"),
        False,
    )
    assert await broken_claims(engine) == set()


async def test_covering_the_debt_lifts_the_block_and_leaves_opening_to_the_steps(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await subscribe(engine)
    await pay(engine, "10")
    await post(engine, debit("spent", usd("10")))
    await take_back(engine, usd("10"))

    await pay(engine, "11", "NEXT")
    after = await standing(engine)
    gate_before_the_steps = (await wallet(engine)).gate_open
    await open_gate(engine)

    assert (after.status, gate_before_the_steps) == (Status.ACTIVE, False)
    assert isinstance(await post_one(engine, debit("again", usd("1"))), Debited)
    async with engine.connect() as conn:
        assert await alerts.standing(conn, ORGANIZATION) == []
    assert await broken_claims(engine) == set()


async def test_money_from_elsewhere_recovers_what_is_owed_too(engine: AsyncEngine) -> None:
    await owing_ten(engine)
    await post(engine, credit("by the host", usd("4")))

    async with engine.begin() as conn:
        changed = await receivables.recover(conn, ORGANIZATION, now=NOON)
    async with engine.begin() as conn:
        again = await receivables.recover(conn, ORGANIZATION, now=NOON)

    assert (changed, again) == (True, False)
    assert (await owed(engine), await balance(engine)) == (usd("6"), usd("0"))
    assert await broken_claims(engine) == set()


async def test_a_debtor_with_a_balance_is_found(engine: AsyncEngine) -> None:
    for name in ("owes-and-has", "owes", "holds", "has"):
        await onboard(engine, name, balance="0")
        await credited(engine, capture("10", name), name)
        if name != "has":
            await post(engine, debit("spent", usd("10")), organization_id=name)
            await take_back(engine, usd("10"), name, of=name, organization_id=name)
    for name in ("owes-and-has", "holds"):
        await post(engine, credit("some", usd("4")), organization_id=name)
    await run(
        engine, "UPDATE wallets SET held_micros = balance_micros WHERE organization_id = 'holds'"
    )

    async with engine.connect() as conn:
        assert await unnotified.owing(conn, limit=10) == ["owes-and-has"]


async def test_together_they_are_never_more_than_the_payment(engine: AsyncEngine) -> None:
    await onboard(engine, balance="100")
    await pay(engine, "25")

    await take_back(engine, usd("10"), "R-1")
    await take_back(engine, usd("5"), "R-2")
    third = await take_back(engine, usd("25"), "D-1", what="dispute")
    fourth = await take_back(engine, usd("25"), "R-3")

    assert third == Booked(counted=usd("10"), reported=usd("25"), owed=usd("0"))
    assert fourth == Booked(counted=usd("0"), reported=usd("25"), owed=usd("0"))
    assert await balance(engine) == usd("100")
    assert await broken_claims(engine) == set()


async def test_a_dispute_that_is_won_gives_the_money_back_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await post(engine, debit("spent", usd("5")))
    await take_back(engine, usd("25"), "D-1", what="dispute")
    during = await owed(engine), await balance(engine)

    outcomes = [
        await take_back(engine, usd("25"), "D-1", what="dispute", stands=False) for _ in range(3)
    ]

    assert during == (usd("5"), usd("0"))
    assert (
        outcomes == [Booked(counted=usd("0"), reported=usd("25"), owed=usd("0"), returned=True)] * 3
    )
    assert (await balance(engine), await blocked(engine)) == (usd("20"), False)
    assert await broken_claims(engine) == set()


async def test_money_returned_by_one_dispute_covers_the_debt_of_another(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    for id_ in ("A", "B"):
        await pay(engine, "10", id_)
    await take_back(engine, usd("10"), "D-A", of="A", what="dispute")
    await post(engine, debit("spent", usd("10")))
    await take_back(engine, usd("10"), "D-B", of="B", what="dispute")

    await take_back(engine, usd("10"), "D-A", of="A", what="dispute", stands=False)

    assert (await owed(engine), await balance(engine), await blocked(engine)) == (
        usd("0"),
        usd("0"),
        False,
    )
    assert await broken_claims(engine) == set()


async def test_a_reversal_repeated_after_its_return_counts_nothing_and_is_reported(
    engine: AsyncEngine,
) -> None:
    """A person has to be alerted."""
    await onboard(engine, balance="0")
    await pay(engine, "25")
    for stands in (True, False):
        await take_back(engine, usd("25"), "D-1", what="dispute", stands=stands)

    again = await take_back(engine, usd("25"), "D-1", what="dispute")

    assert again == Booked(counted=usd("0"), reported=usd("25"), owed=usd("0"), returned=True)
    assert await balance(engine) == usd("25")
    assert await broken_claims(engine) == set()


async def test_a_changed_amount_does_not_change_the_booking_and_is_reported(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await take_back(engine, usd("10"), "D-1", what="dispute")

    more = await take_back(engine, usd("25"), "D-1", what="dispute")

    assert more == Booked(counted=usd("10"), reported=usd("25"), owed=usd("0"))
    assert await balance(engine) == usd("15")
    assert await broken_claims(engine) == set()


async def test_a_reversal_that_took_nothing_returns_nothing(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")

    assert await take_back(engine, usd("25"), stands=False) == Nothing()
    assert await balance(engine) == usd("25")


async def test_a_refund_of_a_subscription_payment_takes_nothing_and_is_noted(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await pay(engine, "49", "SALE", kind=MoneyObject.SALE)

    assert await take_back(engine, usd("49"), of="SALE") == OfSubscription()
    assert await balance(engine) == usd("10")
    assert (await rows(engine, "SELECT amount_micros, taken_micros FROM reversals"))[0] == (
        49_000_000,
        0,
    )
    assert await broken_claims(engine) == set()


async def test_nothing_is_booked_for_an_unknown_payment_or_in_another_currency(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")

    assert await take_back(engine, usd("25"), of="NOWHERE") == UnknownPayment("NOWHERE")
    assert await take_back(engine, Money(1, "EUR")) == OtherCurrency(usd("25"))
    assert await rows(engine, "SELECT * FROM reversals") == []


async def test_a_payment_reversed_before_its_booking_is_never_credited(
    engine: AsyncEngine,
) -> None:
    """Its refund may fail later and the payment be reported as completed; then its refund could no
    longer be taken.
    """
    await onboard(engine, balance="0")
    paid = capture("25")
    async with engine.begin() as conn:
        await payments.note_returned(conn, ORGANIZATION, Provider.PAYPAL, paid)

    assert await credited(engine, paid) == PaidBack()
    assert await balance(engine) == usd("0")
    assert await take_back(engine, usd("25")) == NeverCredited()
    assert await broken_claims(engine) == set()


async def test_a_credit_and_the_note_of_its_reversal_are_serialized(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    async with engine.connect() as holder:
        await payments.note_returned(holder, ORGANIZATION, Provider.PAYPAL, capture("25"))
        crediting = asyncio.create_task(credited(engine, capture("25")))
        await until_it_waits_for(engine, holder, crediting)
        await holder.commit()

    assert await crediting == PaidBack()
    assert await balance(engine) == usd("0")


async def credited(
    engine: AsyncEngine, paid: Payment, organization_id: str = ORGANIZATION
) -> object:
    async with engine.begin() as conn:
        return await payments.book_topup(conn, organization_id, Provider.PAYPAL, paid, now=NOON)


async def test_a_reference_that_somebody_took_before_books_nothing(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await post(engine, credit("reversal:paypal:R-1", usd("1")))

    with pytest.raises(NotBooked):
        await take_back(engine, usd("10"))
    assert await balance(engine) == usd("26")
    assert await broken_claims(engine) == set()


async def test_a_recovery_whose_reference_somebody_took_is_owed_still_and_holds_up_nothing(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    for id_ in ("A", "B"):
        await pay(engine, "10", id_)
    await post(engine, debit("spent", usd("20")))
    await take_back(engine, usd("10"), "R-A", of="A")
    await post(engine, credit("recovery:paypal:R-A:1", usd("1")))

    await pay(engine, "5", "NEXT")
    await take_back(engine, usd("10"), "R-B", of="B")

    assert (await owed(engine), await balance(engine), await blocked(engine)) == (
        usd("14"),
        usd("0"),
        True,
    )
    async with engine.connect() as conn:
        assert "reversal_not_booked" in {
            alert.kind for alert in await alerts.standing(conn, ORGANIZATION)
        }
    assert await broken_claims(engine) == set()


async def test_concurrent_waiver_and_recovery_do_not_deadlock(
    engine: AsyncEngine,
) -> None:
    await owing_ten(engine)
    await post(engine, credit("some", usd("4")))
    async with engine.connect() as holder:
        await standings.lock(holder, ORGANIZATION)
        waiving = asyncio.create_task(waived(engine))
        await until_it_waits_for(engine, holder, waiving)

        await receivables.recover(holder, ORGANIZATION, now=NOON)
        await holder.commit()
    await waiving

    [parts] = await rows(engine, "SELECT recovered_micros, waived_micros FROM reversals")
    assert tuple(parts) == (4_000_000, 6_000_000)
    assert await broken_claims(engine) == set()


async def test_a_foreign_credit_under_the_same_reference_is_not_taken_for_the_refund(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "25")
    await take_back(engine, usd("10"), "D-1", what="dispute")
    await post(engine, credit("returned:paypal:D-1", usd("10")))

    with pytest.raises(NotBooked):
        await take_back(engine, usd("10"), "D-1", what="dispute", stands=False)
    assert await rows(engine, "SELECT 1 FROM reversals WHERE returned_at IS NOT NULL") == []


async def test_a_waived_debt_is_no_longer_owed(engine: AsyncEngine) -> None:
    await owing_ten(engine)

    await waived(engine)
    await pay(engine, "10", "NEXT")

    assert (await owed(engine), await balance(engine), await blocked(engine)) == (
        usd("0"),
        usd("10"),
        False,
    )
    assert (await standing(engine)).status is Status.ACTIVE
    assert await broken_claims(engine) == set()


async def test_a_reversal_and_debits_at_once_never_overdraw(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    await pay(engine, "10")

    paid = asyncio.gather(*(post_one(engine, debit(f"d{n}", usd("1"))) for n in range(15)))
    taken = await take_back(engine, usd("10"))
    outcomes = await paid

    assert isinstance(taken, Booked)
    spent = sum(isinstance(outcome, Debited) for outcome in outcomes)
    assert taken.owed == usd(str(spent))
    assert await balance(engine) == usd("0")
    assert await broken_claims(engine) == set()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["topup", "spend", "refund", "win", "credit", "hold", "let go", "recover", "waive"]
        ),
        st.integers(1, 9),
        st.integers(0, 2),
    ),
    max_size=16,
)


@also_soaking
@settings(
    max_examples=Examples.of(10, soaking=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=ACTS)
def test_any_sequence_keeps_certify_green_and_creates_no_money(
    acts: list[tuple[str, int, int]], database_url: str, soaking: bool
) -> None:
    asyncio.run(_live(acts, database_url))


_lives = iter(range(10_000))


FORGIVEN = (
    "SELECT coalesce(sum(waived_micros), 0) FROM reversals"
    " WHERE organization_id = :of AND returned_at IS NULL"
)


def _dispute_of(name: str, which: int, money: Money, *, stands: bool) -> Reversal:
    return Reversal(
        id=f"{name}-{which}-{money.micros % 3}",
        what="dispute",
        payment_id=f"{name}-{which}",
        amount=money,
        stands=stands,
    )


async def _live(acts: list[tuple[str, int, int]], database_url: str) -> None:
    """Over an organization's life, money paid in is spent, reversed, left, owed or forgiven;
    nothing else.
    """
    from runtime import database  # noqa: PLC0415 - an engine belongs to the loop that it was made in

    engine = database.create_engine(database_url, pool_size=2, application_name="tests")
    name = f"life-{next(_lives)}"
    paid = spent = 0
    back: dict[str, tuple[int, bool]] = {}
    try:
        await onboard(engine, name, balance="0")
        for turn, (act, amount, which) in enumerate(acts):
            money = Money(amount, "USD")
            async with engine.begin() as conn:
                if act == "topup":
                    reference = MoneyReference(kind=MoneyObject.CAPTURE, id=f"{name}-{which}")
                    payment = Payment(
                        reference=reference, status=PaymentStatus.COMPLETED, amount=money
                    )
                    outcome = await payments.book_topup(
                        conn, name, Provider.STRIPE, payment, now=NOON
                    )
                    paid += amount if isinstance(outcome, Credited) and not outcome.replayed else 0
                elif act in ("spend", "credit"):
                    posting = (debit if act == "spend" else credit)(f"{act}-{turn}", money)
                    [done] = await wallets.post(conn, name, [posting])
                    spent += amount if isinstance(done, Debited) else 0
                    paid += amount if isinstance(done, Credited) else 0
                elif act == "hold":
                    hold = Hold(
                        reference_id=f"hold-{which}",
                        amount=money,
                        expires_at=NOON + timedelta(days=1),
                    )
                    await holds.reserve(conn, name, hold, now=NOON)
                elif act == "let go":
                    await holds.release(conn, name, f"hold-{which}", now=NOON)
                elif act == "recover":
                    await receivables.recover(conn, name, now=NOON)
                elif act == "waive":
                    await receivables.waive(conn, name, Source.REVERSAL, by="operator", now=NOON)
                else:
                    taken = _dispute_of(name, which, money, stands=act == "refund")
                    booked = await reversals.book(conn, name, Provider.STRIPE, taken, now=NOON)
                    if isinstance(booked, Booked):
                        back[taken.id] = (booked.counted.micros, booked.returned)
        async with engine.connect() as conn:
            left = await wallets.get(conn, name)
            open_ = (await receivables.owed(conn, name)).total
        forgiven = await number(engine, FORGIVEN, of=name)
        assert left is not None
        gone = sum(micros for micros, returned in back.values() if not returned)
        assert left.balance_micros == paid - spent - gone + open_ + forgiven
        assert await broken_claims(engine) == set()
    finally:
        await engine.dispose()


@pytest.mark.parametrize("deed", ["tops up", "takes back", "recovers", "waives"])
async def test_the_standing_is_locked_before_the_wallet(engine: AsyncEngine, deed: str) -> None:
    """Otherwise a suspension that holds the standing and waits for the wallet would wait forever."""
    await onboard(engine, balance="0")
    for id_ in ("A", "B"):
        await pay(engine, "10", id_)
    await post(engine, debit("spent", usd("15")))
    await take_back(engine, usd("10"), "R-A", of="A")
    await post(engine, credit("some", usd("1")))
    async with engine.connect() as holder:
        await standings.lock(holder, ORGANIZATION)
        acts: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "tops up": lambda: pay(engine, "10", "C"),
            "takes back": lambda: take_back(engine, usd("10"), "R-B", of="B"),
            "recovers": lambda: covered(engine),
            "waives": lambda: waived(engine),
        }
        acting = asyncio.create_task(acts[deed]())
        await until_it_waits_for(engine, holder, acting)

        async with engine.begin() as conn:
            free = await wallets.post_alone(conn, ORGANIZATION, credit("meanwhile", usd("1")))
    await acting

    assert isinstance(free, Credited)
    assert await broken_claims(engine) == set()


async def covered(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await receivables.recover(conn, ORGANIZATION, now=NOON)


async def waived(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await receivables.waive(conn, ORGANIZATION, Source.REVERSAL, by="operator", now=NOON)
