"""Tampering by a superuser that keeps all sums consistent: `certify` finds it, too."""

from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify
from db.wallet import seals, wallets
from domain.wallet.entries import credit
from tests.builders import usd
from tests.integration.audit.story import NOTHING_VERIFIED, live

REFUNDS = "refunds without an earlier debit, or larger than that debit"
UNEXPLAINED_CREDIT = "credits for payments or returned reversals that are not on record"
REVERSAL_NOT_BOOKED = (
    "refunds and disputes that are not booked although their webhook counts as handled"
)
SETTLED_UNKNOWN = "webhook events that count as handled although their object is still unknown"
CHECKOUT_NOT_BOOKED = "paid checkouts without a top-up or an alert"
NOT_BOOKED = "payments that are not booked although their webhook counts as handled"
TOPPED_UP = "top-ups without exactly one credit of their amount"
GONE = "debits of missing messages, or of no attempt and not fully refunded"
TAKEN = (
    "messages that Twilio accepted, or may have accepted, without exactly one unrefunded debit of "
    "their price"
)
SENT_UNPAID = "messages that Twilio sent, but that are neither paid for nor recorded as unpaid"
CHARGED = (
    "messages charged after their refund without exactly one debit, or such debits without a "
    "message"
)
UNMATCHED = "messages that Twilio lists, and no message here stands for or paid: see `tollgate unmatched list`"
PAID = "messages recorded as sent after their refund, although their debit was never refunded"
EARLIER = "earlier attempts that were not paid for before they were sent, or not fully refunded"
SENT_SHUT = "messages handed over while the gate was shut"
COUNTED = "campaigns with missing or duplicate messages"
NOTED = (
    "campaigns whose status differs from the last recorded change, or whose changes do not follow "
    "from each other"
)
STANDINGS = "standings that do not match their receipts"
RECEIPTS = "receipts that are applied but unfinished, or finished without all their steps"
CLOSED = "suspensions that were completed without reading the subaccount back, or that leaked"
FLAGS = "wallets whose gate or freezes differ from the last recorded change"
CHANGES = (
    "changes of a gate or a freeze that do not follow from the previous one, or that no receipt "
    "explains"
)
NEVER_NOTED = "receipts whose suspension, freeze or opening has no recorded change of the wallet"
SHOULD_SUSPEND = (
    "active organizations that should be suspended for a block or an unpaid subscription"
)
GONE_ROWS = "rows that refer to a missing row"
NEGATIVE = "wallets with a negative balance"
LINKS = "links of the chain over all wallets that are missing or changed"
CATALOGUE = "constraints, indexes, triggers and functions that differ from the migrations"
COUNTS = "counts of organizations that differ from their standings"
CHECKPOINTS = "checkpoints of this command that are changed, or whose link is missing or changed"
COUNTED_LESS = (
    "reversals that count for less than the payment that they reverse, or for another kind of "
    "payment"
)
HOLDS = "holds that differ from the record of their opening and closing"
FORGIVEN = "forgiven debts that differ from their record"


TOLD = (
    "suspensions, reactivations, credits and top-ups without exactly one event, or such events "
    "without their fact"
)
COPY = "INSERT INTO events (type, organization_id, data) SELECT type, {0} FROM events WHERE {1} LIMIT 1"


def booked(
    organization_id: str, kind: str, amount: str, reference: str, refunds: str = "NULL"
) -> str:
    """An entry by SQL, with every other record that has to agree with it."""
    return (
        "INSERT INTO ledger_entries"
        " (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id, refunds)"
        f" SELECT '{organization_id}', entries + 1, '{kind}', {amount}, balance_micros + "
        f"{amount}, '{reference}',"
        f" {refunds} FROM wallets WHERE organization_id = '{organization_id}';"
        f" UPDATE wallets SET balance_micros = balance_micros + {amount}, entries = entries + 1"
        f" WHERE organization_id = '{organization_id}'"
    )


def changed(change: str, organization_id: str, after_seq: str, epoch: str) -> str:
    return (
        "INSERT INTO gate_changes (organization_id, change, after_seq, epoch, at)"
        f" VALUES ('{organization_id}', '{change}', {after_seq}, {epoch}, clock_timestamp())"
    )


def settled(id_: str, column: str = "money_id") -> str:
    """A pending delivery, marked as handled."""
    return (
        f"UPDATE inbox SET status = 'handled', handled_at = clock_timestamp() WHERE {column} = "
        f"'{id_}'"
    )


LAST = "(SELECT entries {} FROM wallets WHERE organization_id = 'resting')"
SHUT_AT = (
    "(SELECT at + interval '1 microsecond' FROM gate_changes WHERE organization_id = 'acme' AND "
    "change = 'shut')"
)
TAMPERINGS = [
    *(
        (TOLD, f"DELETE FROM events WHERE type = '{type_}'")
        for type_ in (
            "organization.suspended",
            "organization.reactivated",
            "standing.applied",
            "wallet.credited",
            "topup.paid",
        )
    ),
    (TOLD, COPY.format("'acme', data", "type = 'wallet.credited' AND organization_id = 'acme'")),
    (TOLD, COPY.format("organization_id, '{\"seq\": 999}'", "type = 'wallet.credited'")),
    (TOLD, COPY.format("organization_id, '{\"epoch\": 999}'", "type LIKE 'organization.%'")),
    (
        TOLD,
        COPY.format(
            'organization_id, \'{"provider": "paypal", "payment_id": "X"}\'', "type = 'topup.paid'"
        ),
    ),
    (REFUNDS, booked("acme", "refund", "9000000", "r9", "'a:b:c'")),
    (REFUNDS, booked("acme", "refund", "1000000", "r9", "'opening'")),
    (REFUNDS, booked("acme", "refund", "1", "r9", "'nothing'")),
    (UNEXPLAINED_CREDIT, booked("acme", "credit", "5000000", "paypal:capture:CAP-99")),
    (UNEXPLAINED_CREDIT, booked("acme", "credit", "5000000", "stripe:sale:CH-99")),
    (UNEXPLAINED_CREDIT, booked("acme", "credit", "5000000", "returned:paypal:D-99")),
    (UNEXPLAINED_CREDIT, booked("resting", "credit", "5000000", "returned:paypal:D-1")),
    (UNEXPLAINED_CREDIT, "DELETE FROM payments WHERE object_id = 'CAP-1'"),
    (
        UNEXPLAINED_CREDIT,
        "UPDATE payments SET kind = 'subscription', reference_id = NULL WHERE object_id = 'CAP-1'",
    ),
    (NOT_BOOKED, "DELETE FROM payments WHERE object_id = 'SALE-1'"),
    (NOT_BOOKED, "UPDATE inbox SET money_id = 'CAP-99' WHERE money_id = 'CAP-1'"),
    (
        NOT_BOOKED,
        (
            "DELETE FROM payments WHERE object_id = 'CAP-1'; UPDATE ledger_entries SET "
            "reference_id = 'other'"
            " WHERE reference_id = 'paypal:capture:CAP-1'"
        ),
    ),
    (
        TOPPED_UP,
        (
            "INSERT INTO payments (organization_id, provider, object_id, kind, amount_micros, "
            "currency, reference_id)"
            " VALUES ('acme', 'paypal', 'CAP-99', 'topup', 10000000, 'USD', 'opening')"
        ),
    ),
    (GONE, "DELETE FROM messages WHERE idempotency_key = 'k1'"),
    (GONE, "DELETE FROM messages WHERE organization_id = 'acme' AND status = 'refused'"),
    (
        GONE,
        "UPDATE messages SET status = 'refused' WHERE idempotency_key = 'k1';"
        + booked("acme", "refund", "1", "refund:k1", "(SELECT debit FROM k1)").replace(
            "(SELECT debit FROM k1)",
            "(SELECT 'message:' || id || ':1' FROM messages WHERE idempotency_key = 'k1')",
        ),
    ),
    (
        TAKEN,
        (
            "UPDATE messages SET status = 'reserved' WHERE organization_id = 'resting' AND "
            "position = "
            "1"
        ),
    ),
    (
        SENT_UNPAID,
        (
            "UPDATE messages SET delivery_status = 'delivered', provider_sid = 'SM1'"
            " WHERE organization_id = 'acme' AND status = 'refused' AND campaign_id IS NOT NULL"
        ),
    ),
    (
        SENT_UNPAID,
        "UPDATE messages SET delivery_status = 'delivered' WHERE idempotency_key = 'failed'",
    ),
    (
        SENT_UNPAID,
        (
            "UPDATE messages SET provider_sid = 'SM1' WHERE organization_id = 'resting' AND "
            "position "
            "= 1"
        ),
    ),
    (
        SENT_UNPAID,
        (
            "UPDATE messages SET status = 'lost', delivery_status = 'sent' WHERE organization_id = "
            "'resting'"
        ),
    ),
    (EARLIER, "UPDATE attempts SET attempt = attempt + 10 WHERE status = 'lost'"),
    (EARLIER, "UPDATE attempts SET sending_at = '2000-01-01' WHERE status = 'given_back'"),
    (
        EARLIER,
        (
            "UPDATE ledger_entries SET amount_micros = amount_micros - 1 WHERE kind = 'refund' "
            "AND refunds ="
            " (SELECT 'message:' || message_id || ':' || attempt FROM attempts WHERE status = "
            "'given_back')"
        ),
    ),
    (
        SENT_SHUT,
        (
            f"UPDATE attempts SET sending_at = {SHUT_AT} WHERE organization_id = 'acme' AND "
            "status = "
            "'given_back'"
        ),
    ),
    (COUNTED, "DELETE FROM messages WHERE organization_id = 'resting' AND position = 3"),
    (COUNTED, "UPDATE campaigns SET total = total + 1 WHERE organization_id = 'resting'"),
    (COUNTED, "UPDATE messages SET position = position + 100 WHERE organization_id = 'resting'"),
    (
        NOTED,
        "UPDATE campaigns SET status = 'completed', reason = '' WHERE organization_id = 'resting'",
    ),
    (
        NOTED,
        "DELETE FROM campaign_changes WHERE organization_id = 'resting' AND to_status = 'running'",
    ),
    (NOTED, "UPDATE campaign_changes SET from_status = 'running' WHERE from_status = 'paused'"),
    (
        STANDINGS,
        "UPDATE standings SET status = 'active', blocks = '{}' WHERE organization_id = 'resting'",
    ),
    (
        STANDINGS,
        (
            "UPDATE standings SET status = 'suspended', blocks = '{admin}', epoch = 3 WHERE "
            "organization_id = 'acme'"
        ),
    ),
    (STANDINGS, "DELETE FROM receipts WHERE organization_id = 'resting'"),
    (STANDINGS, "DELETE FROM receipts WHERE organization_id = 'acme' AND epoch = 1"),
    (STANDINGS, "DELETE FROM receipts WHERE organization_id = 'acme' AND epoch = 2"),
    (
        STANDINGS,
        "UPDATE receipts SET status = 'active' WHERE organization_id = 'acme' AND epoch = 1",
    ),
    (STANDINGS, "DELETE FROM standings WHERE organization_id = 'acme'"),
    (
        SHOULD_SUSPEND,
        (
            "UPDATE standings SET status = 'active', blocks = '{}', epoch = 2, applied_epoch = 2"
            " WHERE organization_id = 'resting'; UPDATE wallets SET gate_open = true WHERE "
            "organization_id = 'resting'"
        ),
    ),
    (
        SHOULD_SUSPEND,
        "UPDATE subscriptions SET state = 'suspended_nonpayment' WHERE organization_id = 'acme'",
    ),
    (
        SHOULD_SUSPEND,
        (
            "UPDATE subscriptions SET shut_for_debt = true, past_due_since = clock_timestamp()"
            " WHERE organization_id = 'acme'"
        ),
    ),
    (
        RECEIPTS,
        "UPDATE receipts SET finished_at = NULL WHERE organization_id = 'acme' AND epoch = 1",
    ),
    (
        RECEIPTS,
        "UPDATE receipts SET finished_at = NULL WHERE organization_id = 'acme' AND epoch = 2",
    ),
    (
        RECEIPTS,
        (
            "UPDATE receipts SET finished_at = NULL, steps = '[]' WHERE organization_id = 'acme' "
            "AND "
            "epoch = 2"
        ),
    ),
    (
        RECEIPTS,
        "UPDATE receipts SET steps = steps - 0 WHERE organization_id = 'acme' AND epoch = 2",
    ),
    (CLOSED, "UPDATE receipts SET steps = steps - 1 WHERE organization_id = 'acme' AND epoch = 1"),
    (
        CLOSED,
        "UPDATE receipts SET leaked_debits = NULL WHERE organization_id = 'acme' AND epoch = 1",
    ),
    (FLAGS, "UPDATE wallets SET gate_open = false WHERE organization_id = 'acme'"),
    (FLAGS, "UPDATE wallets SET frozen_by_suspension = false WHERE organization_id = 'resting'"),
    (FLAGS, "UPDATE wallets SET frozen_by_operator = true WHERE organization_id = 'acme'"),
    (
        FLAGS,
        (
            "UPDATE wallets SET gate_open = true, frozen_by_suspension = false WHERE "
            "organization_id = 'resting';"
            " UPDATE standings SET status = 'active', blocks = '{}' WHERE organization_id = "
            "'resting'"
        ),
    ),
    (
        CHANGES,  # a debit while the gate is shut, surrounded by a forged opening and shutting
        ";".join(
            (
                booked("resting", "debit", "-1", "slipped in"),
                changed("unfrozen_by_suspension", "resting", LAST.format("- 1"), "1"),
                changed("opened", "resting", LAST.format("- 1"), "1"),
                changed("shut", "resting", LAST.format(""), "1"),
                changed("frozen_by_suspension", "resting", LAST.format(""), "1"),
            )
        ),
    ),
    (CHANGES, changed("shut", "resting", LAST.format(""), "1")),
    (
        CHANGES,
        "DELETE FROM gate_changes WHERE organization_id = 'acme' AND change = 'frozen_by_operator'",
    ),
    (
        CHANGES,
        (
            "UPDATE gate_changes SET after_seq = 1000 WHERE organization_id = 'acme' AND change = "
            "'opened'"
        ),
    ),
    (
        CHANGES,
        "UPDATE gate_changes SET epoch = 7 WHERE organization_id = 'acme' AND change = 'opened'",
    ),
    (
        NEVER_NOTED,
        "DELETE FROM gate_changes WHERE organization_id = 'acme' AND change IN ('shut', 'opened')",
    ),
    (
        NEVER_NOTED,
        (
            "DELETE FROM gate_changes WHERE organization_id = 'acme' AND change LIKE "
            "'%frozen_by_suspension'"
        ),
    ),
    (GONE_ROWS, "DELETE FROM organizations WHERE id = 'resting'"),
    (GONE_ROWS, "DELETE FROM standings WHERE organization_id = 'resting'"),
    (GONE_ROWS, "DELETE FROM campaigns WHERE organization_id = 'resting'"),
    (GONE_ROWS, "DELETE FROM wallets WHERE organization_id = 'acme'"),
    (GONE_ROWS, "DELETE FROM payments WHERE object_id = 'CAP-2'"),
    (
        NEGATIVE,
        (
            "ALTER TABLE wallets DROP CONSTRAINT wallets_held_covered_check;"
            " UPDATE wallets SET held_micros = balance_micros + 1 WHERE organization_id = 'acme'"
        ),
    ),
]


TAMPERINGS += [
    (
        COUNTED_LESS,
        "UPDATE reversals SET amount_micros = 0, waived_micros = 0 WHERE object_id = 'R-6'",
    ),
    (
        COUNTED_LESS,
        (
            "UPDATE reversals SET payment_kind = 'subscription', waived_micros = 0 WHERE "
            "object_id = "
            "'R-6'"
        ),
    ),
    (CATALOGUE, "ALTER ROLE CURRENT_USER SET session_replication_role = replica"),
    (CATALOGUE, "ALTER TABLE unpaid_sends SET UNLOGGED"),
    (REVERSAL_NOT_BOOKED, "UPDATE inbox SET outcome = '' WHERE money_id = 'R-7'"),
    (REVERSAL_NOT_BOOKED, "DELETE FROM reversals WHERE object_id = 'R-6'"),
    (
        REVERSAL_NOT_BOOKED,
        "UPDATE inbox SET payment_id = NULL, outcome = '' WHERE money_id = 'R-7'",
    ),
    (
        REVERSAL_NOT_BOOKED,
        "UPDATE inbox SET money_id = 'R-99', outcome = 'booked as R-99' WHERE money_id = 'R-6'",
    ),
    (REVERSAL_NOT_BOOKED, "DELETE FROM reversals WHERE object_id = 'D-1'"),
    (REVERSAL_NOT_BOOKED, "UPDATE inbox SET outcome = '' WHERE money_id = 'D-7'"),
    (REVERSAL_NOT_BOOKED, settled("D-8")),
    (REVERSAL_NOT_BOOKED, settled("R-8")),
    (NOT_BOOKED, settled("CAP-8")),
    (NOT_BOOKED, settled("SALE-8")),
    (NOT_BOOKED, "UPDATE inbox SET outcome = 'booked as CAP-99' WHERE money_id = 'CS-1'"),
    (SETTLED_UNKNOWN, settled("I-NOBODY", "event_id")),
    (
        CHECKOUT_NOT_BOOKED,
        "UPDATE topups SET status = 'paid', settled_at = clock_timestamp() WHERE status = 'open'",
    ),
    (
        UNMATCHED,
        "UPDATE unmatched_messages SET closed_at = NULL, closed_by = NULL, closed_because = NULL",
    ),
    (SENT_UNPAID, "DELETE FROM unpaid_sends"),
    (CHARGED, "DELETE FROM unpaid_sends"),
    (CHARGED, "UPDATE unpaid_sends SET charged_at = NULL"),
    (
        CHARGED,
        (
            "UPDATE ledger_entries SET reference_id = 'other' WHERE reference_id LIKE "
            "'charge:message:%'"
        ),
    ),
    (CHARGED, "UPDATE unpaid_sends SET attempt = attempt + 1"),
    (
        PAID,  # a paid message, so that it can be charged again
        (
            "INSERT INTO unpaid_sends (organization_id, message_id, attempt, message_sid, "
            "delivery_status)"
            " SELECT organization_id, id, attempt, 'SM1', 'delivered' FROM messages WHERE "
            "idempotency_key = 'k1'"
        ),
    ),
    (CATALOGUE, "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only"),
    (CATALOGUE, "ALTER TABLE gate_changes ENABLE REPLICA TRIGGER gate_changes_append_only"),
    (CATALOGUE, "ALTER TABLE ledger_entries DISABLE TRIGGER ALL"),
    (CATALOGUE, "DROP TRIGGER ledger_seals_append_only ON ledger_seals"),
    (CATALOGUE, "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check"),
    (
        CATALOGUE,
        (
            "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check;"
            " ALTER TABLE wallets ADD CONSTRAINT wallets_balance_check CHECK (balance_micros >= "
            "0) NOT VALID"
        ),
    ),
    (
        CATALOGUE,
        (
            "ALTER TABLE wallets DROP CONSTRAINT wallets_balance_check;"
            " ALTER TABLE wallets ADD CONSTRAINT wallets_balance_check CHECK (balance_micros >= -1)"
        ),
    ),
    (CATALOGUE, "ALTER TABLE messages DROP CONSTRAINT messages_organization_id_fkey"),
    (CATALOGUE, "ALTER TABLE messages ALTER CONSTRAINT messages_organization_id_fkey NOT ENFORCED"),
    (CATALOGUE, "ALTER TABLE ledger_entries ALTER COLUMN amount_micros DROP NOT NULL"),
    (CATALOGUE, "ALTER TABLE ledger_entries ALTER COLUMN created_at DROP DEFAULT"),
    (CATALOGUE, "DROP INDEX ledger_entries_refunds_once_idx"),
    (
        CATALOGUE,
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            "'subscriptions_one_current_idx'::regclass"
        ),
    ),
    (
        CATALOGUE,
        (
            "CREATE OR REPLACE FUNCTION refuse_changes() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN END'"
        ),
    ),
    (
        CATALOGUE,
        (
            "CREATE OR REPLACE FUNCTION ledger_link(seal bytea, first bytea, entry bytea) RETURNS "
            "bytea LANGUAGE sql"
            " IMMUTABLE RETURN sha256(entry)"
        ),
    ),
    (
        LINKS,  # the newest entry of a wallet, with its seal
        (
            "DELETE FROM ledger_seals WHERE organization_id = 'resting';"
            " DELETE FROM ledger_entries WHERE organization_id = 'resting';"
            " UPDATE wallets SET entries = 0, balance_micros = 0 WHERE organization_id = 'resting'"
        ),
    ),
    (LINKS, "DELETE FROM ledger_seals WHERE organization_id = 'acme'"),
    (LINKS, "DELETE FROM ledger_heads WHERE number = 1"),
    (LINKS, "UPDATE ledger_heads SET seq = seq - 1 WHERE organization_id = 'acme'"),
    (LINKS, "UPDATE ledger_heads SET organization_id = 'resting' WHERE organization_id = 'acme'"),
    (
        LINKS,  # erases an operator's freeze that was lifted
        (
            "DELETE FROM gate_changes WHERE organization_id = 'acme' AND change LIKE "
            "'%frozen_by_operator'"
        ),
    ),
    (
        LINKS,
        (
            "UPDATE gate_changes SET at = at + interval '1 second' WHERE organization_id = 'acme' "
            "AND "
            "change = 'shut'"
        ),
    ),
    (LINKS, "UPDATE money_changes SET by = 'somebody else' WHERE change = 'hold_opened'"),
    (COUNTS, "UPDATE standing_counts SET number = number + 1"),
    (COUNTS, "DELETE FROM standing_counts"),
    (CHECKPOINTS, "UPDATE checkpoints SET link = link - 1"),
    (CHECKPOINTS, "UPDATE checkpoints SET since = since + interval '1 second'"),
    (CHECKPOINTS, "DELETE FROM checkpoints WHERE id = (SELECT min(id) FROM checkpoints)"),
    (CHECKPOINTS, "UPDATE ledger_heads SET sha256 = sha256(sha256)"),
    (
        HOLDS,  # released with its held amount
        (
            "UPDATE holds SET status = 'released', closed_at = clock_timestamp() WHERE status = "
            "'open';"
            " UPDATE wallets SET held_micros = 0 WHERE organization_id = 'acme'"
        ),
    ),
    (
        HOLDS,
        (
            "UPDATE holds SET amount_micros = amount_micros - 1 WHERE status = 'open';"
            " UPDATE wallets SET held_micros = held_micros - 1 WHERE organization_id = 'acme'"
        ),
    ),
    (HOLDS, "DELETE FROM holds WHERE status = 'released'"),
    (HOLDS, "UPDATE holds SET status = 'expired' WHERE status = 'released'"),
    (
        HOLDS,
        (
            "UPDATE holds SET closed_at = created_at WHERE status = 'expired'; UPDATE holds SET "
            "expires_at = 'infinity'"
        ),
    ),
    (HOLDS, "DELETE FROM money_changes WHERE change = 'hold_expired'"),
    (
        FORGIVEN,  # by SQL, with its block
        (
            "UPDATE reversals SET waived_micros = amount_micros - taken_micros - recovered_micros"
            " WHERE object_id = 'R-3'; DELETE FROM blocks WHERE reference = 'receivable'"
        ),
    ),
    (FORGIVEN, "UPDATE reversals SET waived_micros = 0, amount_micros = 0 WHERE object_id = 'R-6'"),
    (FORGIVEN, "DELETE FROM reversals WHERE object_id = 'R-6'"),
    (FORGIVEN, "DELETE FROM money_changes WHERE change = 'debt_waived'"),
]


BILL = "days whose total at Twilio differs from the sum of what was booked for its usage categories"
UNEXPLAINED_COST = (
    "days on which Twilio's total had more than its categories explain, for longer than a day"
)
NOT_TAKEN = "charges of Twilio that should have been taken from the wallet and were not"
CHARGED = (
    "carrier charges without exactly the ledger entry or debt of their amount, or such entries "
    "without a charge"
)
MOVED = "categories of a day for which more or less moved than is due"
OF_INBOUND = "WHERE category = 'sms-inbound-longcode'"
TAMPERINGS += [
    (BILL, "UPDATE carrier_usage SET price_micros = 1 WHERE category = 'totalprice'"),
    (BILL, f"DELETE FROM carrier_charges {OF_INBOUND}"),
    (
        UNEXPLAINED_COST,
        (
            "INSERT INTO carrier_charges (organization_id, day, category, revision, currency, "
            "cost_micros, action, due_micros, moved_micros, problem, charged_at)"
            " VALUES ('billed', '2026-01-01', 'totalprice', 1, 'USD', 1, 'charge', 0, 0, 'x', "
            "clock_timestamp() - interval '25 hours')"
        ),
    ),
    (NOT_TAKEN, f"UPDATE carrier_charges SET due_micros = 0 {OF_INBOUND}"),
    (CHARGED, f"UPDATE carrier_charges SET moved_micros = moved_micros + 1 {OF_INBOUND}"),
    (CHARGED, f"DELETE FROM carrier_charges {OF_INBOUND}"),
    (CHARGED, "UPDATE carrier_charges SET moved_micros = -1 WHERE moved_micros < 0"),
    (MOVED, f"UPDATE carrier_charges SET due_micros = due_micros + 1 {OF_INBOUND}"),
]
OWED_MORE = "charges of Twilio of which more is owed or forgiven than is due for them"
RETURNED_MORE = (
    "organizations to which more was returned of carrier charges, or which owe more, than was "
    "charged"
)
OWING = "INSERT INTO carrier_debts (organization_id, reference_id, amount_micros, booked_at) VALUES"
TAMPERINGS += [
    (OWED_MORE, f"{OWING} ('billed', 'carrier:2026-05-04:no-charge:1', 1, now())"),
    (OWED_MORE, f"{OWING} ('leaked', 'carrier:foreign:1', 1, now())"),
    (OWED_MORE, f"{OWING} ('counted', 'carrier:segments:{UUID(int=0)}', 1, now())"),
    (
        RETURNED_MORE,
        (
            "UPDATE ledger_entries SET amount_micros = 9000000"
            " WHERE organization_id = 'billed' AND kind = 'carrier_refund'"
        ),
    ),
]
COUNTED = (
    "segments that Twilio counted otherwise, without the ledger entries or the debt of their sums, "
    "or such entries without them"
)
TAMPERINGS += [
    (COUNTED, "UPDATE segment_differences SET micros = micros + 1 WHERE micros > 0"),
    (COUNTED, "UPDATE segment_differences SET micros = micros - 1 WHERE micros < 0"),
    (COUNTED, "DELETE FROM segment_differences"),
]
ONLY_AMONG_EVERYTHING = {
    ("UPDATE messages SET status = 'accepted' WHERE organization_id = 'resting' AND position = 1"),
    "UPDATE messages SET status = 'reserved' WHERE organization_id = 'resting' AND position = 1",
    "UPDATE messages SET provider_sid = 'SM1' WHERE organization_id = 'resting' AND position = 1",
    (
        "UPDATE messages SET status = 'lost', delivery_status = 'sent' WHERE organization_id = "
        "'resting'"
    ),
    "DELETE FROM organizations WHERE id = 'resting'",
    "DELETE FROM campaigns WHERE organization_id = 'resting'",
    "DELETE FROM payments WHERE object_id = 'CAP-2'",
}
"""Changes of a message without a time or an entry, and deleted rows that others refer to: nothing
new leads there. docs/explanation/safety.md says so.
"""


@pytest_asyncio.fixture(scope="module", name="lived_in")
async def of_a_long_life(module_engine: AsyncEngine) -> AsyncEngine:
    await live(module_engine)
    return module_engine


@pytest.mark.parametrize(("claim", "tampering"), TAMPERINGS)
async def test_tampering_is_found(
    lived_in: AsyncEngine, claim: str, tampering: str, out_of_order: list[str]
) -> None:
    async with lived_in.connect() as conn:  # never committed
        # no trigger, no foreign key
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        changed_rows = [
            (await conn.execute(text(statement.replace(":", r"\:")))).rowcount
            for statement in tampering.split(";")
        ]
        findings = await certify.certify(conn)
        of_new_rows = await certify.certify_new(conn, NOTHING_VERIFIED)
    out_of_order.clear()  # tampering ignores the lock order

    assert all(changed_rows), "it changed nothing"
    assert claim in {finding.check for finding in findings if not finding.holds}
    found_among_new = claim in {finding.check for finding in of_new_rows if not finding.holds}
    assert found_among_new is (tampering not in ONLY_AMONG_EVERYTHING)


async def test_a_change_that_was_resealed_is_found_too(lived_in: AsyncEngine) -> None:
    async with lived_in.connect() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text("UPDATE ledger_entries SET description = 'x' WHERE reference_id = 'd'")
        )
        await conn.execute(text("DELETE FROM ledger_seals WHERE organization_id = 'acme'"))
        await wallets.post(conn, "acme", [credit("next", usd("1"))])
        assert (await seals.seal(conn)).entries
        findings = await certify.certify(conn)

    assert {finding.check for finding in findings if not finding.holds} == {LINKS}
