"""The blocks of organizations that owe, or whose wallet has been empty for too long: each stands
exactly while its reason does. The caller holds the standing, and commits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions
from db.events import log
from db.lifecycle import standings, unnotified
from db.lifecycle.organizations import Organization
from db.lifecycle.standings import HeldBlock
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.events.catalogue import EventType
from domain.lifecycle.funds import FundsPolicy, WhenEmpty
from domain.lifecycle.standing import Block
from domain.wallet.debts import Owed, Source


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a block stands."""

    block: Block
    reference: str
    why: str
    ended: str

    @property
    def key(self) -> tuple[Block, str]:
        return self.block, self.reference


OWING: Mapping[Source, Reason] = {
    Source.CARRIER: Reason(
        Block.FUNDS,
        "carrier",
        "Twilio charged more than the wallet held; the rest is owed",
        "nothing is owed for the carrier any more",
    ),
    Source.REVERSAL: Reason(
        Block.DISPUTE,
        "receivable",
        "payers got back more than the wallet held; the rest is owed",
        "no debt from reversals is left",
    ),
}
ALERT_OF = {Source.CARRIER: AlertKind.CARRIER_OWED, Source.REVERSAL: AlertKind.RECEIVABLE}
"""The alert that is open while something is owed for the source."""
EMPTY = Reason(
    Block.FUNDS, "empty", "the wallet has been empty for too long", "the wallet is not empty"
)


async def agree(
    conn: AsyncConnection, organization: Organization, owes: Owed, now: datetime
) -> None:
    """Place and lift the blocks for what is owed, and lift that for an empty wallet. The gate shuts
    in this transaction; the reactivation's steps open it, when none of the blocks stands.
    """
    organization_id = organization.id
    standing = {
        (block.kind, block.reference)
        for block in await standings.held_blocks(conn, organization_id)
    }
    ended: list[Reason] = []
    for source, reason in OWING.items():
        if owes.of(source) and reason.key not in standing:
            await place(conn, organization_id, reason, now)
            opened = {
                "source": source.value,
                "owed_micros": owes.of(source),
                "currency": organization.currency,
            }
            await log.append(conn, EventType.DEBT_OPENED, organization_id, opened)
        elif not owes.of(source) and reason.key in standing:
            ended.append(reason)
            await alerts.clear(conn, organization_id, ALERT_OF[source])
            cleared = {"source": source.value}
            await log.append(conn, EventType.DEBT_CLEARED, organization_id, cleared)
    if EMPTY.key in standing and not await _empties(conn, organization_id, organization.funds):
        ended.append(EMPTY)
    for reason in ended:
        await standings.lift_block(conn, organization_id, reason.block, reason.reference)
    if ended:
        await decisions.settle(conn, organization_id, now=now, cause=ended[0].ended, may_open=True)
        await unnotified.notify_now(conn, organization_id)


async def place(conn: AsyncConnection, organization_id: str, reason: Reason, now: datetime) -> None:
    block = HeldBlock(
        kind=reason.block, reference=reason.reference, reason=reason.why, placed_by="tollgate"
    )
    await standings.place_block(conn, organization_id, block)
    await decisions.settle(conn, organization_id, now=now, cause=reason.why, may_open=False)
    await unnotified.notify_now(conn, organization_id)


async def _empties(conn: AsyncConnection, organization_id: str, policy: FundsPolicy) -> bool:
    """Whether the wallet is empty, and its organization is to be suspended for that."""
    wallet = await wallets.lock(conn, organization_id)
    is_empty = wallet is not None and wallet.available_micros <= 0
    return is_empty and policy.when_empty is WhenEmpty.SUSPEND
