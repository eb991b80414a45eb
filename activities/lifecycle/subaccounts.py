"""Stores what Twilio says of subaccounts, so that no process has to ask for each of them again."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import subaccounts
from db.lifecycle.subaccounts import Stored
from domain.campaigns.telephony import Account
from providers.twilio import Twilio


async def keep(conn: AsyncConnection, twilio: Twilio, accounts: Iterable[Account]) -> None:
    """Store the parents and the encrypted tokens of those that are an organization's. The caller
    commits.
    """
    await subaccounts.keep(
        conn,
        {
            account.sid: Stored(account.owner_sid, token)
            for account in accounts
            if account.owner_sid is not None
            and account.auth_token
            # of another account's parent: its token could not be read again
            and (token := twilio.encrypted_token(account)) is not None
        },
    )
