"""The tokens with which Twilio signs callbacks: one per subaccount, fetched with the parent's
credentials and cached.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from api.http.lookups import Lookups
from db.lifecycle import organizations
from db.pipeline import reading
from domain.campaigns.telephony import ACCOUNT_SID
from providers.errors import NotFound, ProviderUnavailable
from providers.twilio import Twilio, verify_callback

KEPT = 600.0
ASKED_AGAIN = 30.0
_MOST = 20_000
_ACCOUNT = re.compile(ACCOUNT_SID)


@dataclass(slots=True)
class _Account:
    organization_id: str
    token: str = ""
    fetched: float = float("-inf")
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tokens:
    """A rotation of a token at Twilio is noticed at the first signature that does not match the old
    token.
    """

    def __init__(self, engine: AsyncEngine, twilio: Twilio) -> None:
        self._engine = engine
        self._twilio = twilio
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._lookups = Lookups(self._ask)

    async def organization(self, account_sid: str) -> str | None:
        """The organization of the subaccount; it never changes, so it is cached."""
        account = self._accounts.get(account_sid)
        if account is not None:
            return account.organization_id
        if not _ACCOUNT.fullmatch(account_sid):
            return None
        organization_id = await self._lookups.find(account_sid)
        if organization_id is None:
            return None
        self._accounts[account_sid] = _Account(organization_id)
        if len(self._accounts) > _MOST:
            self._accounts.popitem(last=False)
        return organization_id

    async def _ask(self, account_sids: Sequence[str]) -> Mapping[str, str]:
        async with reading(self._engine).connect() as conn:
            return await organizations.by_accounts(conn, account_sids)

    async def signed(self, account_sid: str, url: str, raw: bytes, signature: str) -> bool:
        """Whether the account signed this. Raises `ProviderUnavailable` if its token is not cached
        and Twilio does not answer.

        Call it only for an account that `organization` finds.
        """
        account = self._accounts[account_sid]
        if time.monotonic() - account.fetched >= KEPT:
            await self._refresh(account_sid, account, older_than=KEPT)
        if verify_callback(url, raw, signature, account.token):
            return True
        if not await self._refresh(account_sid, account, older_than=ASKED_AGAIN):
            return False
        return verify_callback(url, raw, signature, account.token)

    async def _refresh(self, account_sid: str, account: _Account, *, older_than: float) -> bool:
        """Fetch the token from Twilio, unless it was fetched just now; returns whether it was
        fetched.

        While Twilio does not answer, a cached token stays in use.
        """
        async with account.asking:  # many callbacks may find the token outdated at the same time
            if time.monotonic() - account.fetched < older_than:
                return False
            try:
                account.token = (await self._twilio.get_account(account_sid)).auth_token
            except NotFound:
                account.token = ""
            except ProviderUnavailable:
                if not account.token:
                    raise
            account.fetched = time.monotonic()
            return True
