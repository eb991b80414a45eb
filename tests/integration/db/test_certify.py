"""`certify` holds on a database that has lived through everything, and each check goes red when its claim is broken."""

from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db import certify, holds, payments, receipts, reversals, seals, standings
from db.certify import CHECKS, GUARANTEES
from db.settlements import Reply
from domain.campaign import CampaignStatus, MessageStatus
from domain.events import MoneyObject, MoneyReference, Payment, PaymentStatus, Reversal
from domain.hold import Hold
from domain.standing import Status
from domain.subscription import Provider, State
from domain.wallet import Credited, Debited, debit, refund
from tests.builders import (
    NOON,
    ORGANIZATION,
    accepted,
    block,
    broken_claims,
    campaign,
    change_campaign,
    confirm,
    event,
    freeze,
    give_back,
    hand_over,
    hear,
    onboard,
    open_gate,
    park,
    post,
    post_one,
    reserve,
    resume,
    send,
    send_one,
    settle_replies,
    snapshot,
    standing,
    subscribe,
    unfreeze,
    usd,
)

TAKEN = "messages that Twilio took, or may have taken, without exactly one standing debit of their price"
UNREFUNDED = "debits of messages that no attempt stands for, and that were not refunded"
ADD_UP = "wallets whose entries do not add up to their balance"
FOLLOW = "entries whose balance does not follow from the entry before"
TWICE = "references booked twice, and debits refunded twice"
WHILE_SHUT = "debits that committed between a shut gate and its opening"
GATE_OPEN = "suspended or blocked organizations whose gate stands open"
TOPPED_UP = "top-ups without exactly one credit of their amount"
PAID_BACK = "payments that their payers had back before they were booked, and that were credited"
SEALED = "sealed entries that are gone, or are not what was sealed"
SET_ASIDE = "wallets whose open holds do not add up to what they have set aside"
CAPTURED = "captured holds without exactly one debit of what was captured"
REVERSED = "reversals whose ledger entries are not what was taken, recovered and given back"
UNEXPLAINED = "wallets with entries of reversals that no reversal explains"
TOO_MUCH = "payments of which more was taken back than was paid"
OWING = "organizations that owe what payers got back and have no block for it, or the block and owe nothing"
RESUMED_SHUT = "campaigns resumed by Tollgate while the gate was shut"


async def finish(engine: AsyncEngine, step: str, organization_id: str = ORGANIZATION) -> None:
    """The world agrees: note the step and close the receipt, as the last activity does."""
    async with engine.begin() as conn:
        held = await standings.lock(conn, organization_id)
        assert held is not None
        await receipts.note_step(conn, organization_id, held.epoch, step, started_at=NOON, detail="read back")
        await standings.mark_applied(conn, organization_id, held.epoch, now=NOON)
        await receipts.finish(conn, organization_id, held.epoch, held.status, now=NOON)


async def topped_up(
    engine: AsyncEngine, id_: str = "CAP-1", amount: str = "5", organization_id: str = ORGANIZATION
) -> None:
    paid = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=usd(amount),
        custom_id=organization_id,
    )
    for _ in range(2):
        async with engine.begin() as conn:
            booked = await payments.book_topup(conn, organization_id, Provider.PAYPAL, paid, now=NOON)
            assert isinstance(booked, Credited)


async def taken_back(engine: AsyncEngine, organization_id: str = "owing") -> None:
    """A dispute that was won, a refund recovered from the next top-up, and one that is still owed."""
    await onboard(engine, organization_id, balance="0")
    for id_ in ("CAP-2", "CAP-3"):
        await topped_up(engine, id_, "5", organization_id)
    await post(engine, debit("spent", usd("8")), organization_id=organization_id)

    async def told(id_: str, of: str, *, stands: bool = True) -> None:
        fact = Reversal(id=id_, what="dispute", payment_id=of, amount=usd("5"), stands=stands)
        async with engine.begin() as conn:
            await reversals.book(conn, organization_id, Provider.PAYPAL, fact, now=NOON)

    await told("D-1", "CAP-2")
    await told("D-1", "CAP-2", stands=False)
    await told("R-2", "CAP-3")
    await topped_up(engine, "CAP-4", "4", organization_id)
    await told("R-3", "CAP-2")
    never = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id="CAP-5"),
        status=PaymentStatus.REFUNDED,
        amount=usd("5"),
        custom_id=organization_id,
    )
    async with engine.begin() as conn:
        await payments.note_returned(conn, organization_id, Provider.PAYPAL, never)


async def set_aside(engine: AsyncEngine) -> None:
    """One hold captured in part, one open."""
    async with engine.begin() as conn:
        for reference in ("taken", "open"):
            asked = Hold(reference_id=reference, amount=usd("0.50"), expires_at=NOON + timedelta(days=1))
            await holds.reserve(conn, ORGANIZATION, asked, now=NOON)
        await holds.capture(conn, ORGANIZATION, "taken", 200_000, now=NOON)


@pytest_asyncio.fixture(scope="module", name="lived_in")
async def of_a_long_life(module_engine: AsyncEngine) -> AsyncEngine:
    """Topped up, sent, suspended in mid-campaign, given back, paid, resumed, frozen; another one rests suspended."""
    engine = module_engine
    await onboard(engine)
    await subscribe(engine)
    await topped_up(engine)
    await post(engine, debit("d", usd("1")), refund("r", "d", usd("1")), debit("a:b:c", usd("0.50")))
    await set_aside(engine)
    sending = await campaign(engine, messages=8)
    first, second, third, fourth = await hand_over(engine, sending, limit=4)
    await settle_replies(
        engine,
        accepted(first),
        accepted(second),
        Reply(message=third, status=MessageStatus.UNKNOWN),
        Reply(message=fourth, status=MessageStatus.REFUSED),
    )
    await hear(engine, event(State.SUSPENDED_NONPAYMENT))
    await freeze(engine)
    await park(engine)
    await give_back(engine, second)
    assert not isinstance(await post_one(engine, debit("late", usd("1"))), Debited)
    await finish(engine, "suspend_twilio_subaccount")
    await confirm(engine, snapshot(State.ACTIVE, NOON + timedelta(minutes=30)))
    await open_gate(engine)
    assert await resume(engine) == [sending.id]
    await finish(engine, "unfreeze_wallet")
    await send(engine, sending)
    await settle_replies(engine, Reply(message=third, status=MessageStatus.LOST))
    await reserve(engine, sending)
    await freeze(engine, by_operator=True)
    await unfreeze(engine)
    await send_one(engine)
    paused = await campaign(engine, name="paused")
    await change_campaign(engine, paused, CampaignStatus.PAUSED, reason="asked")
    await change_campaign(engine, paused, CampaignStatus.RUNNING)
    await onboard(engine, "resting")
    await campaign(engine, name="resting", organization_id="resting")
    await block(engine, "resting")
    await freeze(engine, "resting")
    await park(engine, organization_id="resting")
    await finish(engine, "suspend_twilio_subaccount", "resting")
    await taken_back(engine)
    async with engine.begin() as conn:
        await seals.seal(conn)
    return engine


async def test_it_holds_on_a_database_that_has_lived_through_everything(lived_in: AsyncEngine) -> None:
    async with lived_in.connect() as conn:
        findings = await certify.certify(conn)

    assert [finding for finding in findings if not finding.holds] == []
    assert [finding for finding in findings if finding.examined == 0] == []
    assert (await standing(lived_in, "resting")).status is Status.SUSPENDED


async def test_it_holds_on_an_empty_database(engine: AsyncEngine) -> None:
    assert await broken_claims(engine) == set()


def test_every_guarantee_from_one_to_seven_is_proved() -> None:
    assert {check.guarantee for check in CHECKS} == set(GUARANTEES) == set(range(1, 8))
    assert len({check.claim for check in CHECKS}) == len(CHECKS)


NEXT = "(SELECT max(seq) + 1 FROM ledger_entries WHERE organization_id = '{0}')"
LAST = "(SELECT balance_micros FROM wallets WHERE organization_id = '{0}')"


def slipped_in(organization_id: str, kind: str = "debit") -> str:
    """An entry that was booked behind the code's back, as tidily as if it had been booked by it."""
    return (
        "INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id)"
        f" SELECT '{organization_id}', entries + 1, '{kind}', -1, balance_micros - 1, 'slipped in' FROM wallets"
        f" WHERE organization_id = '{organization_id}';"
        " UPDATE wallets SET balance_micros = balance_micros - 1, entries = entries + 1"
        f" WHERE organization_id = '{organization_id}'"
    )


TAMPERINGS = [
    (
        "wallets with a negative balance",
        (
            "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check, DROP CONSTRAINT wallets_held_covered_check;"
            " UPDATE wallets SET balance_micros = -1 WHERE organization_id = 'resting'"
        ),
        {ADD_UP},
    ),
    (ADD_UP, "UPDATE wallets SET balance_micros = balance_micros + 1 WHERE organization_id = 'acme'", set()),
    (ADD_UP, "UPDATE wallets SET entries = entries + 1 WHERE organization_id = 'acme'", set()),
    (ADD_UP, "DELETE FROM ledger_entries WHERE organization_id = 'resting'", {SEALED}),
    (SET_ASIDE, "UPDATE wallets SET held_micros = held_micros + 1 WHERE organization_id = 'acme'", set()),
    (SET_ASIDE, "UPDATE holds SET amount_micros = amount_micros + 1 WHERE status = 'open'", set()),
    (CAPTURED, "UPDATE holds SET captured_micros = captured_micros - 1 WHERE status = 'captured'", set()),
    (CAPTURED, "UPDATE holds SET reference_id = 'nowhere' WHERE status = 'captured'", set()),
    (
        SEALED,
        "UPDATE ledger_entries SET description = 'x' WHERE organization_id = 'acme' AND reference_id = 'd'",
        set(),
    ),
    (SEALED, "UPDATE ledger_seals SET seq = 1000 WHERE organization_id = 'acme' AND seq = 2", set()),
    (
        FOLLOW,
        (
            "UPDATE ledger_entries SET balance_after_micros = balance_after_micros + 1"
            " WHERE organization_id = 'acme' AND seq = 3"
        ),
        {SEALED},
    ),
    (FOLLOW, "UPDATE ledger_entries SET seq = 1000 WHERE organization_id = 'resting'", {SEALED}),
    (TAKEN, "UPDATE messages SET status = 'accepted' WHERE organization_id = 'resting' AND position = 1", set()),
    (TAKEN, "UPDATE messages SET price_micros = 2 * price_micros WHERE idempotency_key = 'k1'", set()),
    (TAKEN, "UPDATE messages SET sending_at = '2000-01-01' WHERE idempotency_key = 'k1'", set()),
    (
        TAKEN,
        "UPDATE messages SET status = 'accepted' WHERE organization_id = 'acme' AND status = 'refused'",
        set(),
    ),
    (
        UNREFUNDED,
        "UPDATE messages SET status = 'refused' WHERE organization_id = 'acme' AND status = 'accepted'",
        set(),
    ),
    (UNREFUNDED, "UPDATE messages SET attempt = 2 WHERE idempotency_key = 'k1'", {TAKEN}),
    (
        "messages handed over after the gate was shut",
        "UPDATE messages SET sending_at = clock_timestamp() WHERE organization_id = 'resting' AND position = 1",
        set(),
    ),
    (
        "messages handed over after the gate was shut",
        (
            "UPDATE messages SET sending_at = (SELECT at + interval '1 microsecond' FROM gate_changes"
            " WHERE organization_id = 'acme' AND change = 'shut') WHERE organization_id = 'acme' AND status = 'refused'"
        ),
        set(),
    ),
    (
        "suspensions that were closed without reading the subaccount back, or that leaked",
        "UPDATE receipts SET steps = '[]' WHERE status = 'suspended'",
        set(),
    ),
    (
        "suspensions that were closed without reading the subaccount back, or that leaked",
        "UPDATE receipts SET leaked_messages = 1 WHERE organization_id = 'acme' AND status = 'suspended'",
        set(),
    ),
    (
        WHILE_SHUT,
        slipped_in("resting"),
        {"debits booked while the suspension had frozen the wallet"},
    ),
    (GATE_OPEN, "UPDATE wallets SET gate_open = true WHERE organization_id = 'resting'", set()),
    (
        TWICE,
        (
            "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_organization_id_reference_id_key CASCADE;"
            " UPDATE ledger_entries SET reference_id = 'd' WHERE reference_id = 'a:b:c'"
        ),
        {SEALED},
    ),
    (
        TWICE,
        (
            "DROP INDEX ledger_entries_refunds_once_idx; UPDATE ledger_entries SET kind = 'refund', refunds = 'd'"
            " WHERE reference_id = 'opening' AND organization_id = 'acme'"
        ),
        {SEALED},
    ),
    (
        "webhook events stored twice",
        (
            "DROP INDEX inbox_body_idx;"
            " INSERT INTO inbox (provider, event_id, event_type, kind, body, headers, status)"
            " SELECT provider, event_id, event_type, kind, body, headers, 'parked' FROM inbox"
        ),
        set(),
    ),
    (
        TOPPED_UP,
        "UPDATE payments SET amount_micros = amount_micros + 1",
        set(),
    ),
    (TOPPED_UP, "UPDATE payments SET reference_id = 'nowhere' WHERE kind = 'topup'", set()),
    (TOPPED_UP, "UPDATE payments SET currency = 'EUR'", set()),
    (
        "top-ups credited to another wallet, too",
        "UPDATE payments SET organization_id = 'resting' WHERE kind = 'topup'",
        {TOPPED_UP},
    ),
    (
        "campaigns running in organizations whose suspension is applied",
        "UPDATE campaigns SET status = 'running', reason = '' WHERE organization_id = 'resting'",
        set(),
    ),
    (
        "campaigns that a person paused and Tollgate resumed",
        "UPDATE campaign_changes SET by = 'tollgate' WHERE from_status = 'paused'",
        set(),
    ),
    (
        RESUMED_SHUT,
        (
            "UPDATE campaign_changes SET at = (SELECT at + interval '1 microsecond' FROM gate_changes"
            " WHERE organization_id = 'acme' AND change = 'shut') WHERE by = 'tollgate' AND to_status = 'running'"
        ),
        set(),
    ),
    (
        "debits booked while the suspension had frozen the wallet",
        "DELETE FROM gate_changes WHERE change = 'shut' AND organization_id = 'resting';" + slipped_in("resting"),
        set(),
    ),
    (
        "debits booked while an operator had frozen the wallet",
        "DELETE FROM gate_changes WHERE change = 'unfrozen_by_operator'",
        set(),
    ),
    (REVERSED, "UPDATE reversals SET taken_micros = taken_micros - 1 WHERE object_id = 'R-2'", set()),
    (REVERSED, "UPDATE reversals SET recovered_micros = recovered_micros - 1 WHERE object_id = 'R-2'", set()),
    (REVERSED, "UPDATE reversals SET returned_at = NULL WHERE object_id = 'D-1'", {TOO_MUCH}),
    (UNEXPLAINED, slipped_in("acme", "reversal"), set()),
    (UNEXPLAINED, "UPDATE reversals SET recoveries = recoveries + 1 WHERE recoveries > 0", set()),
    (
        TOO_MUCH,
        "UPDATE reversals SET told_micros = 6000000, amount_micros = 6000000 WHERE object_id = 'R-3'",
        set(),
    ),
    (PAID_BACK, "UPDATE payments SET kind = 'returned', reference_id = NULL WHERE object_id = 'CAP-1'", set()),
    (REVERSED, "UPDATE reversals SET returned_at = clock_timestamp() WHERE object_id = 'R-2'", set()),
    (REVERSED, "UPDATE reversals SET object_id = 'R-9' WHERE object_id = 'R-2'", set()),
    (
        REVERSED,
        "UPDATE ledger_entries SET kind = 'debit', reference_id = 'd9' WHERE reference_id = 'reversal:paypal:R-2'",
        {UNEXPLAINED, SEALED, WHILE_SHUT},
    ),
    (REVERSED, "UPDATE ledger_entries SET reference_id = 'x' WHERE reference_id LIKE 'returned:%'", {SEALED}),
    (OWING, "DELETE FROM blocks WHERE reference = 'receivable'", set()),
    (OWING, "UPDATE reversals SET waived_micros = amount_micros - taken_micros WHERE object_id = 'R-3'", set()),
    (
        GATE_OPEN,
        (
            "UPDATE standings SET status = 'active', blocks = '{}' WHERE organization_id = 'owing';"
            " UPDATE wallets SET gate_open = true WHERE organization_id = 'owing'"
        ),
        set(),
    ),
    (
        OWING,
        (
            "INSERT INTO blocks (organization_id, kind, reference, reason, placed_by)"
            " VALUES ('acme', 'dispute', 'receivable', 'x', 'x')"
        ),
        {GATE_OPEN},
    ),
]


def test_every_check_has_a_tampering_that_it_must_find() -> None:
    assert {claim for claim, _, _ in TAMPERINGS} == {check.claim for check in CHECKS}


@pytest.mark.parametrize(("claim", "tampering", "besides"), TAMPERINGS)
async def test_each_check_goes_red_when_its_claim_is_broken(
    lived_in: AsyncEngine, claim: str, tampering: str, besides: set[str]
) -> None:
    async with lived_in.connect() as conn:  # never committed
        await conn.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger, no foreign key
        for statement in tampering.split(";"):
            await conn.execute(text(statement))
        findings = await certify.certify(conn)

    assert {finding.check for finding in findings if not finding.holds} == {claim} | besides


@pytest.mark.parametrize(
    "reference",
    [
        "order:1:abc",
        "message:not-a-message:x",
        f"message:{'-' * 36}:1",
        "message:01a206b4-db4a-7aa7-bfc6-436b01a868c2:99999999999999999999",
    ],
)
async def test_references_of_the_host_application_do_not_disturb_it(engine: AsyncEngine, reference: str) -> None:
    await onboard(engine)
    await post(engine, debit(reference, usd("1")))
    for key in ("one", "two", "three"):
        await send_one(engine, key)

    assert await broken_claims(engine) == set()
