"""Replaces a subaccount's token just before it is suspended: afterwards Twilio refuses the call.

It never delays or prevents a suspension for long: what fails is an alert.
"""

from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import first_line
from activities.lifecycle import subaccounts
from db import alerts
from db.lifecycle import receipts
from db.pipeline import reading
from domain.alerts import AlertKind
from domain.campaigns.telephony import AccountStatus
from providers.errors import ProviderError
from providers.twilio import Twilio
from providers.twilio.subaccount import rotate_token

log = structlog.get_logger()
ROTATE = "rotate_token"


async def rotate(
    engine: AsyncEngine, twilio: Twilio, organization_id: str, epoch: int, account_sid: str
) -> bool:
    """Replace the token once for each epoch, and store the new one; returns whether it was replaced
    now.
    """
    started_at = datetime.now(UTC)
    async with reading(engine).connect() as conn:
        [receipt] = await receipts.of_organization(conn, organization_id, limit=1)
    if receipt.epoch != epoch or any(step["step"] == ROTATE for step in receipt.steps):
        return False
    try:
        if (await twilio.get_account(account_sid)).status is not AccountStatus.ACTIVE:
            return False
        account = await rotate_token(twilio, account_sid)
    except ProviderError as problem:
        log.error("token_not_rotated", organization_id=organization_id, reason=str(problem))
        async with engine.begin() as conn:
            await alerts.raise_(
                conn, organization_id, AlertKind.ROTATION_FAILED, first_line(problem)
            )
        return False
    async with engine.begin() as conn:
        await subaccounts.keep(conn, twilio, [account])
        await alerts.clear(conn, organization_id, AlertKind.ROTATION_FAILED)
        await receipts.note_step(
            conn, organization_id, epoch, ROTATE, started_at=started_at, detail="replaced"
        )
    log.info("token_rotated", organization_id=organization_id, epoch=epoch)
    return True
