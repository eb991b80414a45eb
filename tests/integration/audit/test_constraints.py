"""The tables themselves refuse every change that breaks a guarantee."""

from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify
from db.tables import APPEND_ONLY, metadata
from db.wallet import holds, seals
from domain.billing.subscription import State
from domain.wallet.entries import debit, refund
from domain.wallet.holds import Hold
from tests.builders import (
    NOON,
    ORGANIZATION,
    block,
    campaign,
    number,
    onboard,
    post,
    rows,
    run,
    send,
    send_one,
    subscribe,
    usd,
)


@pytest_asyncio.fixture(scope="module")
async def lived_in(module_engine: AsyncEngine) -> AsyncEngine:
    """A database with a row in every table that the statements below change; none of them commits."""
    await onboard(module_engine)
    await onboard(module_engine, "other")
    await subscribe(module_engine)
    await post(
        module_engine, debit("d", usd("1")), refund("r", "d", usd("1")), debit("d2", usd("1"))
    )
    await send(module_engine, await campaign(module_engine))
    await send_one(module_engine)
    hold = Hold(reference_id="h", amount=usd("1"), expires_at=NOON + timedelta(days=1))
    async with module_engine.begin() as conn:
        await holds.reserve(conn, ORGANIZATION, hold, now=NOON)
    await block(module_engine)
    await run(
        module_engine,
        "INSERT INTO carrier_usage (organization_id, day, category, revision, price_micros, currency)"
        " VALUES ('acme', '2026-03-01', 'calls', 1, 1, 'USD')",
    )
    await run(
        module_engine,
        "INSERT INTO carrier_charges (organization_id, day, category, revision, currency, "
        "cost_micros, absorbed_micros, action, due_micros, moved_micros)"
        " VALUES ('acme', '2026-03-01', 'calls', 1, 'USD', 1, 1, 'absorb', 0, 0)",
    )
    await run(
        module_engine,
        "INSERT INTO company_usage (account_sid, day, revision, price_micros, currency)"
        " VALUES ('AC', '2026-03-01', 1, 1, 'USD')",
    )
    await run(
        module_engine,
        "INSERT INTO operator_acts (by, act, organization_id, subject, reason)"
        " VALUES ('ops', 'step_retried', 'acme', '', 'x')",
    )
    async with module_engine.begin() as conn:
        await seals.seal(conn)
    await certify.examine(module_engine)  # leaves a checkpoint
    return module_engine


async def try_to(engine: AsyncEngine, statements: str) -> None:
    """Run them in a transaction that is rolled back."""
    async with engine.connect() as conn:
        for each in statements.split("; "):
            await conn.execute(text(each))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET {column} = {column}",
        "DELETE FROM {table}",
        "DELETE FROM {table} WHERE false",
        "TRUNCATE {table}",
        "TRUNCATE organizations CASCADE",
    ],
)
async def test_history_can_only_be_added_to(
    lived_in: AsyncEngine, table: str, statement: str
) -> None:
    assert await number(lived_in, f"SELECT count(*) FROM {table}") > 0
    column = {"checkpoints": "link", "company_usage": "account_sid"}.get(table, "organization_id")

    with pytest.raises(IntegrityError, match=r"append-only|refused"):
        await try_to(lived_in, statement.format(table=table, column=column))


NEW_ENTRY = (
    "INSERT INTO ledger_entries"
    " (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id, refunds)"
    " VALUES ('acme', {seq}, '{kind}', {amount}, {after}, '{reference}', {refunds})"
)
NEW_MESSAGE = (
    "INSERT INTO messages (organization_id, recipient, body, segments, price_micros, status, "
    "idempotency_key)"
    " VALUES ('acme', '+1', {body}, {segments}, {price}, '{status}', {key})"
)
NEW_INBOX = (
    "INSERT INTO inbox (provider, event_id, transmission_id, event_type, kind, body, headers, "
    "status)"
    " VALUES ('{provider}', '{event}', '{transmission}', 't', 'changed', '', '{{}}', '{status}')"
)


def entry(
    *,
    seq: int = 99,
    kind: str = "credit",
    amount: int = 1,
    after: int = 1,
    reference: str = "new",
    refunds: str = "",
) -> str:
    named = f"'{refunds}'" if refunds else "NULL"
    return NEW_ENTRY.format(
        seq=seq, kind=kind, amount=amount, after=after, reference=reference, refunds=named
    )


def message(
    *,
    body: str = "'b'",
    segments: int = 1,
    price: int = 1,
    status: str = "sending",
    key: str = "'new'",
) -> str:
    return NEW_MESSAGE.format(body=body, segments=segments, price=price, status=status, key=key)


def subscribed(organization_id: str, id_: str, *, is_current: bool) -> str:
    return (
        "INSERT INTO subscriptions (organization_id, provider, provider_subscription_id, "
        "is_current, state)"
        f" VALUES ('{organization_id}', 'paypal', '{id_}', {is_current}, 'active')"
    )


def payment(organization_id: str = "acme", *, kind: str = "subscription", amount: int = 1) -> str:
    return (
        "INSERT INTO payments (organization_id, provider, object_id, kind, amount_micros, currency)"
        f" VALUES ('{organization_id}', 'paypal', 'S-1', '{kind}', {amount}, 'USD')"
    )


def reversal(
    *,
    what: str = "refund",
    paid: str = "P-1",
    of: str = "topup",
    amount: int = 1,
    taken: int = 0,
    recovered: int = 0,
) -> str:
    return (
        "INSERT INTO reversals (organization_id, provider, object_id, what, payment_id, "
        "payment_kind, told_micros,"
        " amount_micros, taken_micros, recovered_micros)"
        f" VALUES ('acme', 'paypal', 'R-1', '{what}', '{paid}', '{of}', 1, {amount}, {taken}, "
        f"{recovered})"
    )


def carrier_debt(
    *, amount: int = 1, recovered: int = 0, waived: int = 0, reference: str = "carrier:1"
) -> str:
    return (
        "INSERT INTO carrier_debts (organization_id, reference_id, amount_micros, "
        "recovered_micros, waived_micros, booked_at)"
        f" VALUES ('acme', '{reference}', {amount}, {recovered}, {waived}, now())"
    )


def delivery(
    *,
    provider: str = "paypal",
    event: str = "e1",
    transmission: str = "t1",
    status: str = "unhandled",
) -> str:
    return NEW_INBOX.format(
        provider=provider, event=event, transmission=transmission, status=status
    )


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE wallets SET balance_micros = -1", "wallets_balance_check"),
        ("UPDATE wallets SET held_micros = -1", "wallets_held_check"),
        ("UPDATE wallets SET held_micros = balance_micros + 1", "wallets_held_covered_check"),
        ("UPDATE wallets SET balance_micros = 4611686018427387905", "wallets_balance_limit_check"),
        (entry(after=-1), "ledger_entries_balance_after_check"),
        (entry(amount=0), "ledger_entries_amount_check"),
        (entry(amount=-1), "ledger_entries_sign_check"),
        (entry(kind="debit", amount=1), "ledger_entries_sign_check"),
        (entry(kind="reversal", amount=1), "ledger_entries_sign_check"),
        (entry(kind="recovery", amount=1), "ledger_entries_sign_check"),
        (entry(kind="carrier_charge", amount=1), "ledger_entries_sign_check"),
        (entry(kind="carrier_refund", amount=-1), "ledger_entries_sign_check"),
        (carrier_debt(amount=0), "carrier_debts_amount_check"),
        (carrier_debt(recovered=-1), "carrier_debts_parts_check"),
        (carrier_debt(waived=2), "carrier_debts_whole_check"),
        (carrier_debt(recovered=1), "carrier_debts_recoveries_check"),
        (carrier_debt(reference="sms"), "carrier_debts_reference_check"),
        (reversal(amount=2), "reversals_amount_check"),
        (reversal(taken=-1), "reversals_parts_check"),
        (reversal(taken=2), "reversals_whole_check"),
        (reversal(of="subscription", taken=1), "reversals_subscription_check"),
        (reversal(recovered=1), "reversals_recoveries_check"),
        (reversal(paid="nowhere"), "reversals_organization_id_provider_payment_id_fkey"),
        (reversal(what="gift"), "reversals_what_check"),
        (entry(kind="gift"), "ledger_entries_kind_check"),
        (entry(kind="refund"), "ledger_entries_refunds_check"),
        (entry(refunds="d2"), "ledger_entries_refunds_check"),
        (entry(kind="refund", refunds="d"), "ledger_entries_refunds_once_idx"),
        (entry(kind="refund", refunds="nowhere"), "ledger_entries_organization_id_refunds_fkey"),
        (entry(reference=""), "ledger_entries_reference_check"),
        (entry(reference="x" * 256), "ledger_entries_reference_check"),
        (entry(reference="opening"), "ledger_entries_organization_id_reference_id_key"),
        (entry(seq=1), "ledger_entries_pkey"),
        (message(price=0), "messages_price_check"),
        (message(segments=0), "messages_price_check"),
        (message(status="sent"), "messages_status_check"),
        (message(key="'k1'"), "messages_organization_id_idempotency_key_key"),
        (message(body="NULL"), "messages_body_check"),
        (message(key="NULL"), "messages_key_check"),
        (
            "UPDATE messages SET campaign_id = NULL WHERE position = 1",
            "messages_body_check|messages_position_check",
        ),
        ("UPDATE messages SET provider_sid = 'SM1'", "messages_organization_id_provider_sid_key"),
        ("UPDATE standings SET applied_epoch = epoch + 1", "standings_applied_check"),
        (
            "UPDATE standings SET status = 'active' WHERE organization_id = 'acme'",
            "standings_blocked_check",
        ),
        (
            "UPDATE standings SET blocks = '{}' WHERE organization_id = 'acme'",
            "standings_blocked_check",
        ),
        ("UPDATE standings SET status = 'maybe'", "standings_status_check"),
        ("UPDATE campaigns SET status = 'parked'", "campaigns_reason_check"),
        ("UPDATE campaigns SET status = 'running', reason = 'why'", "campaigns_reason_check"),
        ("UPDATE subscriptions SET state = 'unknown'", "subscriptions_state_check"),
        (subscribed("acme", "I-2", is_current=True), "subscriptions_one_current_idx"),
        (
            subscribed("other", "I-ACME", is_current=False),
            "subscriptions_provider_provider_subscription_id_key",
        ),
        (payment(kind="topup"), "payments_reference_check"),
        (payment(amount=0), "payments_amount_check"),
        (f"{payment()}; {payment('other')}", "payments_provider_object_id_key"),
        (f"{delivery()}; {delivery(transmission='t2')}", "inbox_body_idx"),
        (delivery(status="handled"), "inbox_handled_check"),
        (delivery(status="lost"), "inbox_status_check"),
        (delivery(provider="square"), "inbox_provider_check"),
        ("UPDATE organizations SET id = 'has space' WHERE id = 'acme'", "organizations_id_check"),
        ("UPDATE organizations SET currency = 'usd'", "organizations_currency_check"),
        ("UPDATE organizations SET price_per_segment_micros = 0", "organizations_price_check"),
        ("UPDATE organizations SET grace_seconds = -1", "organizations_grace_check"),
        (
            "UPDATE organizations SET twilio_account_sid = 'AC1'",
            "organizations_twilio_account_sid_key",
        ),
        (
            (
                "INSERT INTO blocks (organization_id, kind, reason, placed_by) VALUES ('acme', "
                "'nonpayment', 'r', 'b')"
            ),
            "blocks_kind_check",
        ),
        ("DELETE FROM wallets", "append-only|fkey"),
        ("DELETE FROM organizations", "fkey"),
    ],
)
async def test_a_statement_that_breaks_a_guarantee_is_refused(
    lived_in: AsyncEngine, statement: str, constraint: str
) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        await try_to(lived_in, statement)


@pytest.mark.parametrize("state", sorted(set(State) - {State.UNKNOWN}))
async def test_every_state_but_unknown_can_be_stored(lived_in: AsyncEngine, state: State) -> None:
    await try_to(lived_in, f"UPDATE subscriptions SET state = '{state.value}'")


async def test_the_tables_are_those_that_are_described(lived_in: AsyncEngine) -> None:
    found = await rows(lived_in, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    assert {row.tablename for row in found} == {*metadata.tables, "alembic_version"}
