"""What a newer build wrote, and this one has no name for, is read as it is: an unknown block shuts the
gate, an unknown entry is shown.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import decisions
from db.lifecycle import standings
from db.wallet import ledger, wallets
from domain.lifecycle.standing import Block, Status, in_words
from domain.wallet.entries import EntryKind
from tests.builders import NOON, ORGANIZATION, onboard

NEWER = (
    "ALTER TABLE blocks DROP CONSTRAINT blocks_kind_check",
    "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check",
    """
    INSERT INTO blocks (organization_id, kind, reference, reason, placed_by, placed_at)
    VALUES ('acme', 'quota', '', 'too many', 'tollgate', now())
    """,
    """
    INSERT INTO ledger_entries (organization_id, seq, kind, amount_micros, balance_after_micros, reference_id)
    VALUES ('acme', 2, 'bonus', 1, 10000001, 'bonus')
    """,
)


async def test_an_unknown_block_shuts_the_gate_and_an_unknown_entry_is_shown(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    async with engine.connect() as conn:  # never committed
        for statement in NEWER:
            await conn.execute(text(statement))
        decided = await decisions.settle(
            conn, ORGANIZATION, now=NOON, cause="a newer build", may_open=True
        )
        again = await standings.get(conn, ORGANIZATION)
        (block,) = await standings.held_blocks(conn, ORGANIZATION)
        entry = await ledger.find(conn, ORGANIZATION, "bonus")
        wallet = await wallets.get(conn, ORGANIZATION)

    assert decided is not None
    assert (decided.status, {each.value for each in decided.blocks}) == (
        Status.SUSPENDED,
        {"quota"},
    )
    assert again is not None
    assert again.blocks == decided.blocks == {block.kind}
    assert block.kind not in set(Block)
    assert "quota" in in_words(block.kind)
    assert entry is not None
    assert entry.kind.value == "bonus"
    assert entry.kind not in set(EntryKind)
    assert wallet is not None
    assert not wallet.gate_open
