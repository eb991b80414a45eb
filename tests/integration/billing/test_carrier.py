"""What Twilio charged: taken from the wallet once, never below zero; the rest is owed, blocks, and is
covered before what is owed for reversals.
"""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.billing import carrier, payments, receivables, reversals
from db.billing.carrier import Taken
from db.billing.receivables import NotBooked
from db.lifecycle import standings, unnotified
from db.wallet import holds, wallets
from domain.alerts import AlertKind
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus, Reversal
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block, Status
from domain.wallet.debts import Owed, Source
from domain.wallet.entries import credit, debit
from domain.wallet.holds import Hold
from domain.wallet.ledger import Conflict, Credited, Suspended
from tests.builders import (
    NOON,
    ORGANIZATION,
    balance,
    broken_claims,
    freeze,
    minutes,
    onboard,
    post,
    post_one,
    rows,
    run,
    standing,
    until_it_waits_for,
    usd,
)

SMS = "inbound messages of a day"
RENT = "rent of a day"


async def charge(
    engine: AsyncEngine, amount: str, reference: str = SMS, *, now: datetime = NOON
) -> Taken:
    async with engine.begin() as conn:
        return await carrier.take_charge(conn, ORGANIZATION, usd(amount).micros, reference, now)


async def give_back(engine: AsyncEngine, amount: str, reference: str = SMS) -> None:
    async with engine.begin() as conn:
        await carrier.give_back(conn, ORGANIZATION, usd(amount).micros, reference, NOON)


async def top_up(engine: AsyncEngine, amount: str, id_: str = "CAP") -> None:
    paid = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=usd(amount),
        custom_id=ORGANIZATION,
    )
    async with engine.begin() as conn:
        booked = await payments.book_topup(conn, ORGANIZATION, Provider.PAYPAL, paid, now=NOON)
    assert isinstance(booked, Credited)


async def take_back(engine: AsyncEngine, amount: str, *, of: str = "CAP") -> None:
    refund = Reversal(id=f"R-{of}", what="refund", payment_id=of, amount=usd(amount), stands=True)
    async with engine.begin() as conn:
        await reversals.book(conn, ORGANIZATION, Provider.PAYPAL, refund, now=NOON)


async def owing_both(engine: AsyncEngine) -> None:
    """Ten dollars for a reversal, then four for the carrier."""
    await onboard(engine, balance="0")
    await top_up(engine, "10")
    await post(engine, debit("spent", usd("10")))
    await take_back(engine, "10")
    await charge(engine, "4")


async def owed(engine: AsyncEngine) -> Owed:
    async with engine.connect() as conn:
        return await receivables.owed(conn, ORGANIZATION)


async def held_blocks(engine: AsyncEngine) -> set[tuple[str, str]]:
    async with engine.connect() as conn:
        blocks = await standings.held_blocks(conn, ORGANIZATION)
    return {(block.kind.value, block.reference) for block in blocks}


async def entries(engine: AsyncEngine) -> list[tuple[str, int, str]]:
    query = "SELECT kind, amount_micros, reference_id FROM ledger_entries ORDER BY seq"
    return [tuple(row) for row in await rows(engine, query)]


async def test_a_charge_leaves_the_wallet_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")

    taken = [await charge(engine, "4") for _ in range(3)]

    assert taken == [Taken(paid_micros=usd("4").micros, owed_micros=0)] * 3
    assert (await entries(engine))[1:] == [("carrier_charge", -4_000_000, f"carrier:{SMS}")]
    assert (await standing(engine)).status is Status.ACTIVE
    assert await broken_claims(engine) == set()


async def test_ten_concurrent_recorders_of_one_charge_charge_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="3")

    taken = await asyncio.gather(*(charge(engine, "4") for _ in range(10)))

    assert taken == [Taken(paid_micros=usd("3").micros, owed_micros=usd("1").micros)] * 10
    assert await owed(engine) == Owed(carrier=usd("1").micros)
    assert await broken_claims(engine) == set()


async def test_what_the_wallet_cannot_pay_is_owed_and_suspends(engine: AsyncEngine) -> None:
    await onboard(engine, balance="3")

    taken = await charge(engine, "4")

    assert taken == Taken(paid_micros=usd("3").micros, owed_micros=usd("1").micros)
    assert await balance(engine) == usd("0")
    suspended = await standing(engine)
    assert (suspended.status, suspended.blocks) == (Status.SUSPENDED, frozenset({Block.FUNDS}))
    assert await post_one(engine, debit("tried", usd("1"))) == Suspended()
    async with engine.connect() as conn:
        open_ = await alerts.standing(conn, ORGANIZATION)
    assert [alert.kind for alert in open_] == [AlertKind.CARRIER_OWED]
    assert await broken_claims(engine) == set()


async def test_a_charge_that_an_empty_wallet_cannot_pay_at_all_is_owed_once(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")

    assert [await charge(engine, "4") for _ in range(2)] == [
        Taken(paid_micros=0, owed_micros=usd("4").micros)
    ] * 2
    assert await owed(engine) == Owed(carrier=usd("4").micros)
    assert await entries(engine) == []
    assert await broken_claims(engine) == set()


async def test_a_charge_is_taken_from_a_suspended_and_frozen_wallet(engine: AsyncEngine) -> None:
    """Rent goes on while the subaccount is suspended."""
    await onboard(engine, balance="10")
    await freeze(engine)
    async with engine.begin() as conn:
        block = standings.HeldBlock(kind=Block.ADMIN, reference="", reason="-", placed_by="-")
        await standings.place_block(conn, ORGANIZATION, block)

    assert await charge(engine, "4") == Taken(paid_micros=usd("4").micros, owed_micros=0)
    assert await balance(engine) == usd("6")


async def test_a_charge_never_takes_what_a_hold_has_reserved(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    hold = Hold(reference_id="h", amount=usd("8"), expires_at=NOON + timedelta(days=1))
    async with engine.begin() as conn:
        await holds.reserve(conn, ORGANIZATION, hold, now=NOON)

    taken = await charge(engine, "5")

    assert taken == Taken(paid_micros=usd("2").micros, owed_micros=usd("3").micros)
    assert await broken_claims(engine) == set()


async def test_a_reference_belongs_to_one_amount(engine: AsyncEngine) -> None:
    await onboard(engine, balance="3")
    await charge(engine, "4")
    await give_back(engine, "1")

    with pytest.raises(NotBooked):
        await charge(engine, "5")
    with pytest.raises(NotBooked):
        await give_back(engine, "2")

    assert await owed(engine) == Owed()
    assert await broken_claims(engine) == set()


async def test_the_host_application_cannot_use_a_charges_reference(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await post(engine, debit(f"carrier:{SMS}", usd("1")))

    with pytest.raises(NotBooked):
        await charge(engine, "1")

    assert isinstance(await post_one(engine, credit(f"carrier:{SMS}", usd("1"))), Conflict)


async def test_money_that_comes_in_covers_the_debt_and_lifts_the_block(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await charge(engine, "4")
    await charge(engine, "2", RENT, now=NOON + minutes(1))

    await top_up(engine, "5")
    assert await owed(engine) == Owed(carrier=usd("1").micros)
    assert await charge(engine, "4") == Taken(paid_micros=usd("4").micros, owed_micros=0)
    assert await held_blocks(engine) == {("funds", "carrier")}
    await top_up(engine, "3", "CAP-2")

    assert await owed(engine) == Owed()
    assert await balance(engine) == usd("2")
    assert await held_blocks(engine) == set()
    assert (await standing(engine)).status is Status.ACTIVE
    assert [entry for entry in await entries(engine) if entry[0] == "recovery"] == [
        ("recovery", -4_000_000, f"recovery:carrier:{SMS}:1"),
        ("recovery", -1_000_000, f"recovery:carrier:{RENT}:1"),
        ("recovery", -1_000_000, f"recovery:carrier:{RENT}:2"),
    ]
    assert await broken_claims(engine) == set()


async def test_a_background_recovery_finds_who_owes_for_the_carrier_alone(
    engine: AsyncEngine,
) -> None:
    """As after a credit through the API, or a hold that expired."""
    await onboard(engine, balance="0")
    await charge(engine, "4")
    await post(engine, credit("later", usd("4")))

    async with engine.begin() as conn:
        assert await unnotified.owing(conn, limit=10) == [ORGANIZATION]
        assert await receivables.recover(conn, ORGANIZATION, now=NOON)
        assert await unnotified.owing(conn, limit=10) == []

    assert (await standing(engine)).status is Status.ACTIVE


async def test_one_top_up_covers_the_carrier_first_and_then_reversals(engine: AsyncEngine) -> None:
    await owing_both(engine)
    assert await owed(engine) == Owed(carrier=usd("4").micros, reversals=usd("10").micros)
    assert await held_blocks(engine) == {("dispute", "receivable"), ("funds", "carrier")}

    await top_up(engine, "20", "CAP-2")

    assert [entry[1:] for entry in await entries(engine) if entry[0] == "recovery"] == [
        (-4_000_000, f"recovery:carrier:{SMS}:1"),
        (-10_000_000, "recovery:paypal:R-CAP:1"),
    ]
    assert await balance(engine) == usd("6")
    assert await held_blocks(engine) == set()
    assert (await standing(engine)).status is Status.ACTIVE
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("amount", ["3", "4", "9", "13.999999"])
async def test_nobody_sends_before_both_debts_are_covered(engine: AsyncEngine, amount: str) -> None:
    await owing_both(engine)

    await top_up(engine, amount, "CAP-2")

    assert (await owed(engine)).total == usd("14").micros - usd(amount).micros
    assert (await standing(engine)).status is Status.SUSPENDED
    assert await post_one(engine, debit("tried", usd("0.000001"))) == Suspended()
    assert await broken_claims(engine) == set()


async def test_a_new_charge_waits_behind_older_debts(engine: AsyncEngine) -> None:
    await owing_both(engine)
    await post(engine, credit("some", usd("5")))

    taken = await charge(engine, "2", RENT)

    assert taken == Taken(paid_micros=0, owed_micros=usd("2").micros)
    assert await owed(engine) == Owed(carrier=usd("2").micros, reversals=usd("9").micros)


async def test_a_refund_of_charges_covers_what_is_owed_for_the_carrier_first(
    engine: AsyncEngine,
) -> None:
    await owing_both(engine)

    for _ in range(2):
        await give_back(engine, "1")

    assert await owed(engine) == Owed(carrier=usd("3").micros, reversals=usd("10").micros)
    assert (await entries(engine))[-2:] == [
        ("carrier_refund", 1_000_000, f"carrier-refund:{SMS}"),
        ("recovery", -1_000_000, f"recovery:carrier:{SMS}:1"),
    ]
    assert await broken_claims(engine) == set()


async def test_a_refund_of_what_was_paid_is_available_again(engine: AsyncEngine) -> None:
    await onboard(engine, balance="10")
    await charge(engine, "4")

    await give_back(engine, "1.50")

    assert await balance(engine) == usd("7.50")
    assert await broken_claims(engine) == set()


async def test_an_operator_forgives_one_source_and_not_the_other(engine: AsyncEngine) -> None:
    await owing_both(engine)

    async with engine.begin() as conn:
        await receivables.waive(conn, ORGANIZATION, Source.CARRIER, by="ann", now=NOON)

    assert await owed(engine) == Owed(reversals=usd("10").micros)
    assert await held_blocks(engine) == {("dispute", "receivable")}
    assert (await standing(engine)).blocks == {Block.DISPUTE}
    assert await charge(engine, "4") == Taken(paid_micros=0, owed_micros=0)
    assert await broken_claims(engine) == set()


@pytest.mark.parametrize("deed", ["charge", "refund"])
async def test_the_standing_is_locked_before_the_wallet(engine: AsyncEngine, deed: str) -> None:
    await onboard(engine, balance="10")
    await charge(engine, "4")
    async with engine.connect() as holder:
        await standings.lock(holder, ORGANIZATION)
        acting = asyncio.create_task(
            charge(engine, "1", RENT) if deed == "charge" else give_back(engine, "1")
        )
        await until_it_waits_for(engine, holder, acting)

        async with engine.begin() as conn:
            free = await wallets.post_alone(conn, ORGANIZATION, credit("meanwhile", usd("1")))
    await acting

    assert isinstance(free, Credited)


@pytest.mark.parametrize(
    ("tampering", "claim"),
    [
        (
            "DELETE FROM blocks",
            (
                "organizations with a debt from carrier charges but no block, or with the block "
                "but no debt"
            ),
        ),
        (
            "UPDATE carrier_debts SET recovered_micros = 2000000",
            "debts from carrier charges whose ledger entries do not match the amount recovered",
        ),
        (
            "UPDATE carrier_debts SET waived_micros = 1",
            "forgiven debts that differ from their record",
        ),
        (
            "DELETE FROM carrier_debts",
            "wallets with reversal or recovery entries that no reversal or carrier charge explains",
        ),
        (
            "DELETE FROM carrier_debts",
            (
                "organizations to which more was returned of carrier charges, or which owe more, than was charged"
            ),
        ),
    ],
)
async def test_certify_finds_what_does_not_agree(
    engine: AsyncEngine, tampering: str, claim: str
) -> None:
    await onboard(engine, balance="0")
    await charge(engine, "4")
    await give_back(engine, "1")
    assert await broken_claims(engine) == set()

    await run(engine, tampering)

    assert claim in await broken_claims(engine)
