"""`certify` of what is new since the last one that held: what it examines, what it trusts, and what
only the examination of everything finds.
"""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.audit import certify, checkpoints
from db.audit.certify import Finding
from db.wallet import seals, wallets
from domain.wallet.entries import debit
from runtime import database
from tests.builders import number, onboard, post, rows, send_one, usd
from tests.integration.audit.story import live
from tests.integration.audit.test_certify_tampered import CHECKPOINTS, EARLIER, TAKEN

FOLLOW = "entries whose balance does not follow from the previous entry"
SEALED = "sealed entries that are missing or changed"
LINKS = "links of the chain over all wallets that are missing or changed"
CHARGED = (
    "messages charged after their refund without exactly one debit, or such debits without a "
    "message"
)
ADD_UP = "wallets whose entries do not add up to their balance"


async def seal(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await seals.seal(conn)


async def of_new_rows(engine: AsyncEngine) -> dict[str, Finding]:
    findings = await certify.examine_new(engine)
    assert findings is not None
    return {finding.check: finding for finding in findings}


def broken(findings: dict[str, Finding]) -> set[str]:
    return {claim for claim, finding in findings.items() if not finding.holds}


async def broken_of_everything(engine: AsyncEngine) -> set[str]:
    return {finding.check for finding in await certify.examine(engine) if not finding.holds}


async def tamper(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            await conn.execute(text(statement.replace(":", r"\:")))


async def numbers(engine: AsyncEngine) -> list[bool]:
    """For each checkpoint, whether it examined everything."""
    return [row.everything for row in await rows(engine, "SELECT * FROM checkpoints ORDER BY id")]


async def verified(engine: AsyncEngine) -> None:
    """Five entries of `acme`, sealed and verified."""
    await onboard(engine)
    await post(engine, *(debit(f"d{number}", usd("1")) for number in range(4)))
    await seal(engine)
    assert await broken_of_everything(engine) == set()


async def test_what_was_verified_is_not_examined_again(engine: AsyncEngine) -> None:
    await verified(engine)
    await post(engine, debit("e", usd("1")), debit("f", usd("1")))
    await send_one(engine)
    await seal(engine)

    findings = await of_new_rows(engine)

    assert broken(findings) == set()
    assert findings[FOLLOW].examined == 3
    assert findings[SEALED].examined == 4  # with the last one that was verified
    assert findings[LINKS].examined == 2
    assert await numbers(engine) == [True, False]


async def test_nothing_is_taken_as_verified_before_everything_was(engine: AsyncEngine) -> None:
    await onboard(engine)

    assert await certify.examine_new(engine) is None
    assert await numbers(engine) == []


async def test_what_other_checks_verified_is_not_taken_as_verified(engine: AsyncEngine) -> None:
    await verified(engine)

    async with engine.connect() as conn:
        assert await checkpoints.newest(conn, certify.VERSION) is not None
        assert await checkpoints.newest(conn, "other checks") is None


async def test_only_a_pass_that_held_leaves_a_checkpoint(engine: AsyncEngine) -> None:
    await verified(engine)
    await tamper(engine, "UPDATE wallets SET balance_micros = balance_micros + 1")

    assert broken(await of_new_rows(engine)) == {ADD_UP}
    assert await broken_of_everything(engine) == {ADD_UP}
    assert await numbers(engine) == [True]


NEW_AND_WRONG = [
    (FOLLOW, "UPDATE ledger_entries SET balance_after_micros = 7 WHERE reference_id = 'new'"),
    (SEALED, "UPDATE ledger_entries SET description = 'x' WHERE reference_id = 'new'"),
    (ADD_UP, "DELETE FROM ledger_entries WHERE reference_id = 'new'"),
    (LINKS, "UPDATE ledger_heads SET sha256 = sha256(sha256) WHERE seq = 6"),
    # the entry, the seal and the link up to which the wallet was verified
    (SEALED, "UPDATE ledger_entries SET description = 'x' WHERE seq = 5"),
    (SEALED, "UPDATE ledger_seals SET sha256 = sha256(sha256) WHERE seq = 5"),
    (LINKS, "UPDATE ledger_seals SET sha256 = sha256(sha256) WHERE seq = 5"),
    (CHECKPOINTS, "UPDATE ledger_heads SET sha256 = sha256(sha256) WHERE seq = 5"),
    (CHECKPOINTS, "UPDATE checkpoints SET since = since + interval '1 hour'"),
]


@pytest.mark.parametrize(("claim", "tampering"), NEW_AND_WRONG)
async def test_a_change_of_what_is_new_is_found(
    engine: AsyncEngine, claim: str, tampering: str
) -> None:
    await verified(engine)
    await post(engine, debit("new", usd("1")))
    await seal(engine)
    await tamper(engine, tampering)

    assert claim in broken(await of_new_rows(engine))


async def test_new_messages_are_compared_with_entries_that_were_verified_before(
    engine: AsyncEngine,
) -> None:
    await live(engine)
    assert broken(await of_new_rows(engine)) == set()
    tail = await number(engine, "SELECT count(*) FROM ledger_entries")
    await tamper(
        engine,
        "UPDATE ledger_entries SET amount_micros = amount_micros - 1 FROM messages m"
        " WHERE reference_id = 'message:' || m.id || ':' || m.attempt AND m.status = 'accepted'",
        "UPDATE ledger_entries SET amount_micros = amount_micros - 1 FROM attempts a"
        " WHERE reference_id = 'message:' || a.message_id || ':' || a.attempt",
        "UPDATE ledger_entries SET reference_id = 'x' || reference_id"
        " WHERE reference_id LIKE 'charge:message:%'",
    )

    of_new = await of_new_rows(engine)

    assert of_new[FOLLOW].examined < tail  # it has no new entries of them
    assert {TAKEN, EARLIER, CHARGED} <= broken(of_new)
    assert {TAKEN, EARLIER, CHARGED} <= await broken_of_everything(engine)


async def test_an_old_entry_that_was_changed_is_found_among_everything(
    engine: AsyncEngine,
) -> None:
    await verified(engine)
    await tamper(engine, "UPDATE ledger_entries SET description = 'x' WHERE seq = 2")
    await post(engine, debit("new", usd("1")))
    await seal(engine)

    assert broken(await of_new_rows(engine)) == set()
    assert await broken_of_everything(engine) == {SEALED}


async def test_a_chain_that_was_made_anew_no_longer_leads_to_the_checkpoint(
    engine: AsyncEngine,
) -> None:
    await verified(engine)
    await tamper(
        engine,
        "UPDATE ledger_entries SET description = 'x' WHERE seq = 2",
        "DELETE FROM ledger_seals",
        "DELETE FROM ledger_heads",
    )
    await seal(engine)

    assert broken(await of_new_rows(engine)) == {CHECKPOINTS}
    assert await broken_of_everything(engine) == {CHECKPOINTS}


async def test_what_was_committed_after_a_snapshot_is_new_although_it_is_older(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await onboard(engine, "slow")
    await seal(engine)
    async with engine.begin() as slow:
        await wallets.post(slow, "slow", [debit("slow", usd("1"))])
        await post(engine, debit("fast", usd("1")))
        await seal(engine)
        assert await broken_of_everything(engine) == set()
        await of_new_rows(engine)
    await seal(engine)
    await tamper(engine, "UPDATE ledger_entries SET description = 'x' WHERE reference_id = 'slow'")

    assert broken(await of_new_rows(engine)) == {SEALED}


async def test_who_may_only_read_leaves_no_checkpoint(
    engine: AsyncEngine, database_url: str
) -> None:
    await onboard(engine)
    await seal(engine)
    reader = database.create_engine(
        f"{database_url}&options=-c%20default_transaction_read_only%3Don", pool_size=1
    )

    findings = await certify.examine(reader)
    await reader.dispose()

    assert all(finding.holds for finding in findings)
    assert await numbers(engine) == []


async def test_one_connection_examines_what_is_new_again_and_again(database_url: str) -> None:
    engine = database.create_engine(database_url, pool_size=1)
    await verified(engine)
    for turn in range(8):  # a statement that was repeated often enough is prepared
        await post(engine, debit(f"again-{turn}", usd("0.01")))
        await seal(engine)
        findings = await of_new_rows(engine)

        assert broken(findings) == set()
        assert findings[FOLLOW].examined == 1
    await engine.dispose()


async def test_several_connections_find_on_one_snapshot_what_one_finds(
    engine: AsyncEngine,
) -> None:
    await verified(engine)
    await tamper(engine, "UPDATE wallets SET balance_micros = balance_micros + 1")

    async with certify.snapshot(engine) as conn, certify.sharing(engine, conn, 2) as others:
        await post(engine, debit("meanwhile", usd("1")))
        of_three = await certify.certify(conn, others=others)
        of_one = await certify.certify(conn)

    assert of_three == of_one
    assert {finding.check for finding in of_one if not finding.holds} == {ADD_UP}
