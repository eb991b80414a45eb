"""Suite 2 of the original system: a frozen wallet refuses every debit."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet.entries import debit
from domain.wallet.ledger import Debited, Frozen
from tests.builders import (
    balance,
    begin_window,
    campaign,
    freeze,
    onboard,
    post_one,
    reserve,
    unfreeze,
    usd,
    wallet,
)


@pytest.mark.parametrize("by_operator", [True, False])
async def test_a_debit_of_a_frozen_wallet_is_refused(
    engine: AsyncEngine, by_operator: bool
) -> None:
    await onboard(engine)
    sending = await campaign(engine)
    await reserve(engine, sending, limit=1)
    await freeze(engine, by_operator=by_operator)

    outcome = await post_one(engine, debit("d", usd("1")))

    assert outcome == Frozen("fraud suspected")
    assert (
        await begin_window(engine, sending) is None
    )  # not even a message that was paid for before
    assert await balance(engine) == usd("9.99")


async def test_the_status_of_a_frozen_wallet_is_shown(engine: AsyncEngine) -> None:
    await onboard(engine)
    await freeze(engine, by_operator=True)

    frozen = await wallet(engine)
    await unfreeze(engine)
    thawed = await wallet(engine)

    assert (frozen.frozen, frozen.pays, frozen.freeze_reason) == (True, False, "fraud suspected")
    assert (thawed.frozen, thawed.pays, thawed.freeze_reason) == (False, True, None)
    assert isinstance(await post_one(engine, debit("d", usd("1"))), Debited)
