"""`certify` holds on a database that has lived through everything, and each check goes red when its
claim is broken.
"""

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify
from db.audit.certify import CHECKS, GUARANTEES
from db.audit.foreign_checks import FOREIGN_CHECKS
from domain.lifecycle.standing import Status
from domain.wallet.entries import debit
from tests.builders import broken_claims, onboard, post, send_one, standing, usd
from tests.integration.audit import test_certify_tampered
from tests.integration.audit.story import NOTHING_VERIFIED, live

TAKEN = (
    "messages that Twilio accepted, or may have accepted, without exactly one unrefunded debit of "
    "their price"
)
UNREFUNDED = "debits of missing messages, or of no attempt and not fully refunded"
ADD_UP = "wallets whose entries do not add up to their balance"
FOLLOW = "entries whose balance does not follow from the previous entry"
TWICE = "references booked twice, and debits refunded twice"
WHILE_SHUT = "debits that committed while the gate was shut"
GATE_OPEN = "suspended or blocked organizations whose gate is open"
TOPPED_UP = "top-ups without exactly one credit of their amount"
PAID_BACK = "payments that were fully refunded before they were booked, but were credited"
SEALED = "sealed entries that are missing or changed"
SET_ASIDE = "wallets whose open holds and reserve do not add up to their held amount"
CAPTURED = "captured holds without exactly one debit of the captured amount"
REVERSED = "reversals whose ledger entries do not match the amounts taken, recovered and returned"
UNEXPLAINED = (
    "wallets with reversal or recovery entries that no reversal or carrier charge explains"
)
TOO_MUCH = "payments whose reversals exceed the amount paid"
OWING = "organizations with a debt from reversals but no block, or with the block but no debt"
RESUMED_SHUT = "campaigns resumed by Tollgate while the gate was shut"


@pytest_asyncio.fixture(scope="module", name="lived_in")
async def of_a_long_life(module_engine: AsyncEngine) -> AsyncEngine:
    await live(module_engine)
    return module_engine


async def test_it_holds_on_a_database_that_has_lived_through_everything(
    lived_in: AsyncEngine,
) -> None:
    async with lived_in.connect() as conn:
        findings = await certify.certify(conn)
        of_new_rows = await certify.certify_new(conn, NOTHING_VERIFIED)

    for examined in (findings, of_new_rows):
        assert [finding for finding in examined if not finding.holds] == []
        assert [finding for finding in examined if finding.examined == 0] == []
    assert (await standing(lived_in, "resting")).status is Status.SUSPENDED


async def test_it_holds_on_an_empty_database(engine: AsyncEngine) -> None:
    assert await broken_claims(engine) == set()


def test_every_guarantee_from_one_to_seven_is_proved() -> None:
    assert {check.guarantee for check in CHECKS} == set(GUARANTEES) == set(range(1, 8))
    assert len({check.claim for check in CHECKS}) == len(CHECKS)


NEXT = "(SELECT max(seq) + 1 FROM ledger_entries WHERE organization_id = '{0}')"
LAST = "(SELECT balance_micros FROM wallets WHERE organization_id = '{0}')"


def slipped_in(organization_id: str, kind: str = "debit") -> str:
    """An entry that was booked by SQL, consistent with all other records."""
    return (
        "INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, "
        "balance_after_micros, reference_id)"
        f" SELECT '{organization_id}', entries + 1, '{kind}', -1, balance_micros - 1, 'slipped "
        "in' FROM wallets"
        f" WHERE organization_id = '{organization_id}';"
        " UPDATE wallets SET balance_micros = balance_micros - 1, entries = entries + 1"
        f" WHERE organization_id = '{organization_id}'"
    )


TAMPERINGS = [
    (
        "wallets with a negative balance",
        (
            "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check, DROP CONSTRAINT "
            "wallets_held_covered_check;"
            " UPDATE wallets SET balance_micros = -1 WHERE organization_id = 'resting'"
        ),
    ),
    (
        ADD_UP,
        "UPDATE wallets SET balance_micros = balance_micros + 1 WHERE organization_id = 'acme'",
    ),
    (ADD_UP, "UPDATE wallets SET entries = entries + 1 WHERE organization_id = 'acme'"),
    (ADD_UP, "DELETE FROM ledger_entries WHERE organization_id = 'resting'"),
    (SET_ASIDE, "UPDATE wallets SET held_micros = held_micros + 1 WHERE organization_id = 'acme'"),
    (SET_ASIDE, "UPDATE holds SET amount_micros = amount_micros + 1 WHERE status = 'open'"),
    (CAPTURED, "UPDATE holds SET captured_micros = captured_micros - 1 WHERE status = 'captured'"),
    (CAPTURED, "UPDATE holds SET reference_id = 'nowhere' WHERE status = 'captured'"),
    (
        SEALED,
        (
            "UPDATE ledger_entries SET description = 'x' WHERE organization_id = 'acme' AND "
            "reference_id = 'd'"
        ),
    ),
    (SEALED, "UPDATE ledger_seals SET seq = 1000 WHERE organization_id = 'acme' AND seq = 2"),
    (
        FOLLOW,
        (
            "UPDATE ledger_entries SET balance_after_micros = balance_after_micros + 1"
            " WHERE organization_id = 'acme' AND seq = 3"
        ),
    ),
    (FOLLOW, "UPDATE ledger_entries SET seq = 1000 WHERE organization_id = 'resting'"),
    (
        TAKEN,
        (
            "UPDATE messages SET status = 'accepted' WHERE organization_id = 'resting' AND "
            "position = "
            "1"
        ),
    ),
    (TAKEN, "UPDATE messages SET price_micros = 2 * price_micros WHERE idempotency_key = 'k1'"),
    (TAKEN, "UPDATE messages SET sending_at = '2000-01-01' WHERE idempotency_key = 'k1'"),
    (
        TAKEN,
        (
            "UPDATE messages SET status = 'accepted' WHERE organization_id = 'acme' AND status = "
            "'refused'"
        ),
    ),
    (
        UNREFUNDED,
        (
            "UPDATE messages SET status = 'refused' WHERE organization_id = 'acme' AND status = "
            "'accepted'"
        ),
    ),
    (UNREFUNDED, "UPDATE messages SET attempt = 2 WHERE idempotency_key = 'k1'"),
    (
        "messages handed over while the gate was shut",
        (
            "UPDATE messages SET sending_at = clock_timestamp() WHERE organization_id = 'resting' "
            "AND "
            "position = 1"
        ),
    ),
    (
        "messages handed over while the gate was shut",
        (
            "UPDATE messages SET sending_at = (SELECT at + interval '1 microsecond' FROM "
            "gate_changes"
            " WHERE organization_id = 'acme' AND change = 'shut') WHERE organization_id = 'acme' "
            "AND status = 'refused'"
        ),
    ),
    (
        "suspensions that were completed without reading the subaccount back, or that leaked",
        "UPDATE receipts SET steps = '[]' WHERE status = 'suspended'",
    ),
    (
        "suspensions that were completed without reading the subaccount back, or that leaked",
        (
            "UPDATE receipts SET leaked_messages = 1 WHERE organization_id = 'acme' AND status = "
            "'suspended'"
        ),
    ),
    (
        WHILE_SHUT,
        slipped_in("resting"),
    ),
    (GATE_OPEN, "UPDATE wallets SET gate_open = true WHERE organization_id = 'resting'"),
    (
        TWICE,
        (
            "ALTER TABLE ledger_entries DROP CONSTRAINT "
            "ledger_entries_organization_id_reference_id_key CASCADE;"
            " UPDATE ledger_entries SET reference_id = 'd' WHERE reference_id = 'a:b:c'"
        ),
    ),
    (
        TWICE,
        (
            "DROP INDEX ledger_entries_refunds_once_idx; UPDATE ledger_entries SET kind = "
            "'refund', refunds = 'd'"
            " WHERE reference_id = 'opening' AND organization_id = 'acme'"
        ),
    ),
    (
        "webhook events stored twice",
        (
            "DROP INDEX inbox_body_idx;"
            " INSERT INTO inbox (provider, event_id, event_type, kind, body, headers, status)"
            " SELECT provider, event_id, event_type, kind, body, headers, 'parked' FROM inbox"
        ),
    ),
    (
        TOPPED_UP,
        "UPDATE payments SET amount_micros = amount_micros + 1",
    ),
    (TOPPED_UP, "UPDATE payments SET reference_id = 'nowhere' WHERE kind = 'topup'"),
    (TOPPED_UP, "UPDATE payments SET currency = 'EUR'"),
    (
        "top-ups that are also credited to another wallet",
        "UPDATE payments SET organization_id = 'resting' WHERE kind = 'topup'",
    ),
    (
        "campaigns running in organizations whose suspension is applied",
        "UPDATE campaigns SET status = 'running', reason = '' WHERE organization_id = 'resting'",
    ),
    (
        "campaigns that a person paused and Tollgate resumed",
        "UPDATE campaign_changes SET by = 'tollgate' WHERE from_status = 'paused'",
    ),
    (
        RESUMED_SHUT,
        (
            "UPDATE campaign_changes SET at = (SELECT at + interval '1 microsecond' FROM "
            "gate_changes"
            " WHERE organization_id = 'acme' AND change = 'shut') WHERE by = 'tollgate' AND "
            "to_status = 'running'"
        ),
    ),
    (
        "debits booked while the suspension had frozen the wallet",
        "DELETE FROM gate_changes WHERE change = 'shut' AND organization_id = 'resting';"
        + slipped_in("resting"),
    ),
    (
        "debits booked while an operator had frozen the wallet",
        "DELETE FROM gate_changes WHERE change = 'unfrozen_by_operator'",
    ),
    (REVERSED, "UPDATE reversals SET taken_micros = taken_micros - 1 WHERE object_id = 'R-2'"),
    (
        REVERSED,
        "UPDATE reversals SET recovered_micros = recovered_micros - 1 WHERE object_id = 'R-2'",
    ),
    (REVERSED, "UPDATE reversals SET returned_at = NULL WHERE object_id = 'D-1'"),
    (UNEXPLAINED, slipped_in("acme", "reversal")),
    (UNEXPLAINED, "UPDATE reversals SET recoveries = recoveries + 1 WHERE recoveries > 0"),
    (
        TOO_MUCH,
        (
            "UPDATE reversals SET told_micros = 6000000, amount_micros = 6000000 WHERE object_id = "
            "'R-3'"
        ),
    ),
    (
        PAID_BACK,
        "UPDATE payments SET kind = 'returned', reference_id = NULL WHERE object_id = 'CAP-1'",
    ),
    (REVERSED, "UPDATE reversals SET returned_at = clock_timestamp() WHERE object_id = 'R-2'"),
    (REVERSED, "UPDATE reversals SET object_id = 'R-9' WHERE object_id = 'R-2'"),
    (
        REVERSED,
        (
            "UPDATE ledger_entries SET kind = 'debit', reference_id = 'd9' WHERE reference_id = "
            "'reversal:paypal:R-2'"
        ),
    ),
    (REVERSED, "UPDATE ledger_entries SET reference_id = 'x' WHERE reference_id LIKE 'returned:%'"),
    (OWING, "DELETE FROM blocks WHERE reference = 'receivable'"),
    (
        OWING,
        "UPDATE reversals SET waived_micros = amount_micros - taken_micros WHERE object_id = 'R-3'",
    ),
    (
        GATE_OPEN,
        (
            "UPDATE standings SET status = 'active', blocks = '{}' WHERE organization_id = 'owing';"
            " UPDATE wallets SET gate_open = true WHERE organization_id = 'owing'"
        ),
    ),
    (
        OWING,
        (
            "INSERT INTO blocks (organization_id, kind, reference, reason, placed_by)"
            " VALUES ('acme', 'dispute', 'receivable', 'x', 'x')"
        ),
    ),
]

UNCHARGED, EARLY_CHARGES = (check.claim for check in FOREIGN_CHECKS)
TAMPERINGS += [
    (UNCHARGED, "UPDATE foreign_messages SET charge_id = NULL WHERE message_sid = 'SM-F2'"),
    (EARLY_CHARGES, "UPDATE foreign_charges SET amount_micros = amount_micros + 1"),
    (EARLY_CHARGES, "UPDATE foreign_charges SET returned_at = now()"),
    (EARLY_CHARGES, "UPDATE foreign_charges SET returned_at = NULL"),
]


TAMPERINGS += [
    (
        "debts from carrier charges whose ledger entries do not match the amount recovered",
        "UPDATE carrier_debts SET recovered_micros = recovered_micros - 1 WHERE recovered_micros > 0",
    ),
    (
        (
            "organizations to which more was returned of carrier charges, or which owe more, than was charged"
        ),
        "UPDATE ledger_entries SET amount_micros = 9000000 WHERE kind = 'carrier_refund'",
    ),
    (
        (
            "organizations with a debt from carrier charges but no block, or with the block but no "
            "debt"
        ),
        "DELETE FROM blocks WHERE kind = 'funds'",
    ),
    (
        "reserves that differ from the record of their changes",
        "UPDATE reserves SET held_micros = held_micros - 1",
    ),
]


def test_every_check_has_a_tampering_that_it_must_find() -> None:
    assert {claim for claim, _ in (*TAMPERINGS, *test_certify_tampered.TAMPERINGS)} == {
        check.claim for check in CHECKS
    }


@pytest.mark.parametrize(("claim", "tampering"), TAMPERINGS)
async def test_each_check_goes_red_when_its_claim_is_broken(
    lived_in: AsyncEngine, claim: str, tampering: str
) -> None:
    async with lived_in.connect() as conn:  # never committed
        # no trigger, no foreign key
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in tampering.split(";"):
            await conn.execute(text(statement))
        findings = await certify.certify(conn)
        of_new_rows = await certify.certify_new(conn, NOTHING_VERIFIED)

    assert claim in {finding.check for finding in findings if not finding.holds}
    found_among_new = claim in {finding.check for finding in of_new_rows if not finding.holds}
    assert found_among_new is (tampering not in test_certify_tampered.ONLY_AMONG_EVERYTHING)


@pytest.mark.parametrize(
    "reference",
    [
        "order:1:abc",
        "message:not-a-message:x",
        f"message:{'-' * 36}:1",
        "message:01a206b4-db4a-7aa7-bfc6-436b01a868c2:99999999999999999999",
    ],
)
async def test_references_of_the_host_application_do_not_disturb_it(
    engine: AsyncEngine, reference: str
) -> None:
    await onboard(engine)
    await post(engine, debit(reference, usd("1")))
    for key in ("one", "two", "three"):
        await send_one(engine, key)

    assert await broken_claims(engine) == set()
