"""Sealing, and how `certify` finds a superuser's changes of the ledger."""

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify
from db.wallet import holds, seals, wallets
from db.wallet.unsealed_wallets import COMPARED_EVERY, LONGEST_TRANSACTION, NOTHING, Found
from domain.wallet.entries import credit, debit, refund
from domain.wallet.holds import Hold
from tests.builders import (
    NOON,
    ORGANIZATION,
    broken_claims,
    freeze,
    number,
    onboard,
    post,
    rows,
    unfreeze,
    usd,
)

SEALED = "sealed entries that are missing or changed"
FOLLOW = "entries whose balance does not follow from the previous entry"


async def seal(engine: AsyncEngine) -> int:
    async with engine.begin() as conn:
        return (await seals.seal(conn)).entries


async def reserve_hold(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        hold = Hold(reference_id="hold", amount=usd("1"), expires_at=NOON + timedelta(hours=1))
        await holds.reserve(conn, ORGANIZATION, hold, now=NOON)


async def of_five_entries(engine: AsyncEngine) -> None:
    await onboard(engine)
    await post(
        engine,
        debit("caf\u00e9", usd("1"), "a, b\n\u20ac"),
        *(debit(f"d{n}", usd("1")) for n in range(2)),
    )
    await post(engine, refund("r", "d0", usd("1")))


def netstring(value: object) -> bytes:
    raw = str(value).encode()
    return f"{len(raw)}:".encode() + raw + b","


def chain(entries: Iterable[Any]) -> list[bytes]:
    """Computed as docs/reference/ledger.md specifies."""
    seal, found = bytes(32), []
    for e in entries:
        since = e.created_at - datetime(1970, 1, 1, tzinfo=UTC)
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        fields = (
            e.organization_id,
            e.seq,
            e.kind,
            e.amount_micros,
            e.balance_after_micros,
            e.reference_id,
        )
        parts = (*fields, e.refunds or "", e.description, micros)
        seal = hashlib.sha256(seal + b"".join(netstring(part) for part in parts)).digest()
        found.append(seal)
    return found


async def test_an_outsider_computes_the_same_seals(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    assert await seal(engine) == 5
    await post(engine, debit("later", usd("1")))
    assert await seal(engine) == 1

    entries = await rows(engine, "SELECT * FROM ledger_entries ORDER BY seq")
    sealed = await rows(engine, "SELECT sha256 FROM ledger_seals ORDER BY seq")

    assert [row.sha256 for row in sealed] == chain(entries)


def link(before: bytes, wallet: str, seq: int, seal: bytes, *history: Iterable[object]) -> bytes:
    """The history between the wallet's entries, as docs/reference/ledger.md specifies."""
    happened = b"".join(netstring(part) for change in history for part in change)
    return hashlib.sha256(before + netstring(wallet) + netstring(seq) + seal + happened).digest()


def micros(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


async def test_an_outsider_computes_the_same_chain_over_all_wallets(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    await freeze(engine, by_operator=True)
    await unfreeze(engine)
    await onboard(engine, "beta", balance="0")
    await post(engine, credit("first", usd("1")), organization_id="beta")
    # an entry may still come before or after the freeze: it is sealed with the next one
    await seal(engine)
    await reserve_hold(engine)
    await post(engine, debit("later", usd("1")))
    await seal(engine)

    links = await rows(
        engine, "SELECT organization_id, seq, sha256 FROM ledger_heads ORDER BY number"
    )
    seals_of = {
        (row.organization_id, row.seq): row.sha256
        for row in await rows(engine, "SELECT * FROM ledger_seals")
    }
    gate = [
        (row.change, row.after_seq, row.epoch, row.cause, micros(row.at))
        for row in await rows(engine, "SELECT * FROM gate_changes ORDER BY id")
    ]
    money = [
        (row.change, row.after_seq, row.reference_id, row.amount_micros, row.by, micros(row.at))
        for row in await rows(engine, "SELECT * FROM money_changes ORDER BY id")
    ]
    first = link(bytes(32), ORGANIZATION, 5, seals_of[ORGANIZATION, 5])
    second = link(first, "beta", 1, seals_of["beta", 1])
    third = link(second, ORGANIZATION, 6, seals_of[ORGANIZATION, 6], *gate, *money)
    assert [(sealed.organization_id, sealed.seq, sealed.sha256) for sealed in links] == [
        (ORGANIZATION, 5, first),
        ("beta", 1, second),
        (ORGANIZATION, 6, third),
    ]
    assert (len(gate), len(money)) == (2, 1)
    assert await broken_claims(engine) == set()


async def test_seals_without_a_link_get_one(engine: AsyncEngine) -> None:
    """As by a process of an older version."""
    await of_five_entries(engine)
    await seal(engine)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("DELETE FROM ledger_heads"))

    assert [await seal(engine) for _ in range(2)] == [0, 0]
    assert await number(engine, "SELECT seq FROM ledger_heads") == 5
    assert await broken_claims(engine) == set()


async def test_many_who_seal_at_once_seal_each_entry_once(engine: AsyncEngine) -> None:
    for name in ("a", "b", "c"):
        await onboard(engine, name)
        await post(engine, *(debit(f"d{n}", usd("0.01")) for n in range(50)), organization_id=name)

    sealed = await asyncio.gather(*(seal(engine) for _ in range(5)))
    rest = await seal(engine)

    assert sum(sealed) + rest == 153
    assert await seal(engine) == 0
    assert await broken_claims(engine) == set()


async def test_a_seal_and_a_locked_wallet_do_not_wait_for_each_other(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    lock = text("SELECT 1 FROM wallets WHERE organization_id = :organization FOR UPDATE NOWAIT")

    async with engine.connect() as money, engine.connect() as sealing:
        await money.execute(lock, {"organization": ORGANIZATION})
        assert (await seals.seal(sealing)).entries == 5
        await money.rollback()
        await money.execute(lock, {"organization": ORGANIZATION})


async def test_unsealed_entries_are_shown_with_their_age(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    await seal(engine)
    await post(engine, debit("x", usd("1")), debit("y", usd("1")))

    async with engine.connect() as conn:
        tail = await seals.unsealed(conn)
    [(since,)] = await rows(
        engine, "SELECT created_at FROM ledger_entries WHERE reference_id = 'x'"
    )

    assert (tail.entries, tail.since) == (2, since)


@pytest.mark.parametrize("missing", [1, 2, 3])
async def test_wallets_with_a_gap_fill_no_batch_and_all_others_are_sealed(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    monkeypatch.setattr("db.wallet.seals.WALLETS", 2)
    for name in ("a", "b", "c"):
        await onboard(engine, name)
        await post(engine, *(debit(f"d{n}", usd("0.01")) for n in range(2)), organization_id=name)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text("DELETE FROM ledger_entries WHERE seq = :missing"), {"missing": missing}
        )
    for name in ("x", "y", "z"):
        await onboard(engine, name)

    found = NOTHING
    for _ in range(6):
        found = await seal_on(engine, found)

    assert found.waiting == ()
    whole = await rows(
        engine, "SELECT organization_id FROM ledger_heads WHERE organization_id > 'd' ORDER BY 1"
    )
    assert [row.organization_id for row in whole] == ["x", "y", "z"]
    assert await number(
        engine, "SELECT count(*) FROM ledger_seals WHERE organization_id < 'd'"
    ) == 3 * (missing - 1)
    async with engine.connect() as conn:
        broken = [finding for finding in await certify.certify(conn) if not finding.holds]
        unsealed = await seals.unsealed(conn)
    assert {"a"} <= {str(finding.first).partition(",")[0] for finding in broken}
    assert unsealed.entries == 3 * (4 - missing)


async def seal_on(engine: AsyncEngine, before: Found) -> Found:
    async with engine.begin() as conn:
        return (await seals.seal(conn, before)).found


async def test_an_entry_that_is_committed_later_than_a_younger_one_is_not_overlooked(
    engine: AsyncEngine,
) -> None:
    for name in ("slow", "quick"):
        await onboard(engine, name)
    found = await seal_on(engine, NOTHING)
    async with engine.connect() as slow:
        await wallets.post(slow, "slow", [debit("d", usd("1"))])
        for n in range(3):
            await post(engine, debit(f"d{n}", usd("1")), organization_id="quick")
            found = await seal_on(engine, found)
        assert await number(engine, "SELECT count(*) FROM ledger_seals") == 5
        await slow.commit()
    await seal_on(engine, found)

    assert await number(engine, "SELECT count(*) FROM ledger_seals") == 6
    assert await broken_claims(engine) == set()


async def test_what_is_sealed_already_is_looked_at_no_more(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    found = await seal_on(engine, NOTHING)
    for _ in range(2):
        found = await seal_on(engine, found)
    [(last,)] = await rows(engine, "SELECT max(created_at) FROM ledger_entries")

    assert found.waiting == ()
    assert found.since is not None
    assert found.since > last


async def test_a_wallet_with_many_entries_does_not_hold_up_the_others(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.wallet.seals.WALLETS", 1)
    monkeypatch.setattr("db.wallet.seals.ENTRIES", 2)
    await onboard(engine, "busy", balance="0")
    found = await seal_on(engine, NOTHING)
    await post(engine, *(credit(f"c{n}", usd("1")) for n in range(5)), organization_id="busy")
    await onboard(engine, "late")

    order = []
    for _ in range(4):
        found = await seal_on(engine, found)
        [newest] = await rows(
            engine, "SELECT organization_id, seq FROM ledger_heads ORDER BY number DESC LIMIT 1"
        )
        order.append(tuple(newest))

    assert order == [("busy", 2), ("late", 1), ("busy", 4), ("busy", 5)]


@pytest.mark.parametrize("clock", ["ahead", "back"])
async def test_all_wallets_are_compared_now_and_then_and_after_the_clock_was_set_back(
    engine: AsyncEngine, clock: str
) -> None:
    await onboard(engine)
    found = NOTHING
    for _ in range(3):
        found = await seal_on(engine, found)
    assert found.compared_at is not None
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await wallets.post(conn, ORGANIZATION, [debit("d", usd("1"))])
        # as by a server whose clock is late
        await conn.execute(
            text("UPDATE ledger_entries SET created_at = now() - interval '1 day' WHERE seq = 2")
        )
    overlooked = await seal_on(engine, found)
    assert await number(engine, "SELECT count(*) FROM ledger_seals") == 1

    if clock == "back":
        later = replace(overlooked, since=found.compared_at + timedelta(minutes=1))
    else:
        later = replace(overlooked, compared_at=found.compared_at - COMPARED_EVERY)
    await seal_on(engine, later)

    assert await number(engine, "SELECT count(*) FROM ledger_seals") == 2


async def test_a_transaction_open_for_long_does_not_make_a_pass_read_ever_more(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    found = await seal_on(engine, NOTHING)
    async with engine.connect() as foreign:
        await foreign.execute(text("SELECT pg_current_xact_id()"))
        found = await seal_on(engine, await seal_on(engine, found))
        assert found.since is not None
        assert found.mark is not None
        kept = await seal_on(engine, found)
        assert kept.since == found.since

        old = replace(found.mark, at=found.mark.at - LONGEST_TRANSACTION)
        assert (await seal_on(engine, replace(found, mark=old))).since == old.at


TAMPERINGS = [
    ("UPDATE ledger_entries SET description = 'x' WHERE seq = 3", {SEALED}, 3),
    (
        "UPDATE ledger_entries SET amount_micros = amount_micros - 1 WHERE seq = 3",
        {SEALED, FOLLOW},
        3,
    ),
    (
        (
            "UPDATE ledger_entries SET created_at = created_at - interval '1 microsecond' WHERE "
            "seq = "
            "5"
        ),
        {SEALED},
        5,
    ),
    ("DELETE FROM ledger_entries WHERE seq = 2", {SEALED, FOLLOW}, 2),
    ("DELETE FROM ledger_seals WHERE seq = 2", {SEALED}, 3),
    (
        (
            "UPDATE ledger_entries SET seq = 100 WHERE seq = 3; UPDATE ledger_entries SET seq = 3 "
            "WHERE seq = 4;"
            " UPDATE ledger_entries SET seq = 4 WHERE seq = 100"
        ),
        {SEALED},
        3,
    ),
]


@pytest.mark.parametrize(("tampering", "claims", "seq"), TAMPERINGS)
async def test_the_first_wrong_entry_is_named(
    engine: AsyncEngine, tampering: str, claims: set[str], seq: int
) -> None:
    await of_five_entries(engine)
    await seal(engine)
    async with engine.connect() as conn:
        # no trigger, no foreign key
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in tampering.split(";"):
            await conn.execute(text(statement))
        findings = await certify.certify(conn)

    broken = {finding.check: finding.first for finding in findings if not finding.holds}
    assert claims <= broken.keys()
    assert broken[SEALED] == f"{ORGANIZATION}, entry {seq}"


async def test_an_amount_that_changed_before_its_seal_is_found_by_the_balances(
    engine: AsyncEngine,
) -> None:
    await of_five_entries(engine)
    async with engine.connect() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(
            text("UPDATE ledger_entries SET amount_micros = amount_micros + 1 WHERE seq = 2")
        )
        assert (await seals.seal(conn)).entries == 5
        findings = await certify.certify(conn)

    broken = {finding.check: finding.first for finding in findings if not finding.holds}
    assert broken[FOLLOW] == f"{ORGANIZATION}, entry 2"


async def test_nothing_behind_a_gap_is_sealed(engine: AsyncEngine) -> None:
    await of_five_entries(engine)
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        await conn.execute(text("DELETE FROM ledger_entries WHERE seq = 3"))

    assert [await seal(engine) for _ in range(2)] == [2, 0]
    assert await number(engine, "SELECT max(seq) FROM ledger_seals") == 2
