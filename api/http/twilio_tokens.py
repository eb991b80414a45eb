"""The tokens with which Twilio signs callbacks: one per subaccount, stored encrypted, and fetched
with the parent's credentials only if none is stored or a signature does not match it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.lifecycle import subaccounts as stored
from api.http.lookups import Lookups
from db.lifecycle import subaccounts
from db.lifecycle.subaccounts import Subaccount
from db.pipeline import reading
from domain.campaigns.telephony import ACCOUNT_SID, Account
from providers.errors import NotFound, ProviderUnavailable
from providers.twilio import Params, Twilio, verify_callback

log = structlog.get_logger()
KEPT = 600.0
"""Seconds after which a stored token is read again: another process may have fetched a new one."""
ASKED_AGAIN = 30.0
_MOST = 20_000
_ACCOUNT = re.compile(ACCOUNT_SID)


@dataclass(slots=True)
class _Account:
    organization_id: str
    token: str = ""
    read: float = 0.0
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
        if account is not None and time.monotonic() - account.read < KEPT:
            return account.organization_id
        if not _ACCOUNT.fullmatch(account_sid):
            return None
        found = await self._lookups.find(account_sid)
        if found is None:
            return None
        self._note(account_sid, found)
        return found.organization_id

    async def _ask(self, account_sids: Sequence[str]) -> Mapping[str, Subaccount]:
        async with reading(self._engine).connect() as conn:
            return await subaccounts.by_sids(conn, account_sids)

    def _note(self, account_sid: str, found: Subaccount) -> None:
        account = self._accounts.get(account_sid)
        if account is None:
            account = self._accounts[account_sid] = _Account(found.organization_id)
            if len(self._accounts) > _MOST:
                self._accounts.popitem(last=False)
        account.read = time.monotonic()
        if found.token is not None:
            token = self._twilio.decrypted_token(account_sid, found.token)
            account.token = token or account.token

    async def signed(self, account_sid: str, url: str, params: Params, signature: str) -> bool:
        """Whether the account signed this. Raises `ProviderUnavailable` if its token is not stored
        and Twilio does not answer.

        Call it only for an account that `organization` finds.
        """
        account = self._accounts[account_sid]
        if verify_callback(url, params, signature, account.token):
            return True
        if not await self._refresh(account_sid, account):
            return False
        return verify_callback(url, params, signature, account.token)

    async def _refresh(self, account_sid: str, account: _Account) -> bool:
        """Fetch the token from Twilio, unless it was fetched just now; returns whether it was
        fetched.

        While Twilio does not answer, a known token stays in use.
        """
        before = account.token
        async with account.asking:  # many callbacks may find the token outdated at the same time
            if time.monotonic() - account.fetched < ASKED_AGAIN:
                return account.token != before
            try:
                fetched = await self._twilio.get_account(account_sid)
            except NotFound:
                account.token = ""
            except ProviderUnavailable:
                if not account.token:
                    raise
            else:
                account.token = fetched.auth_token
                await self._keep(fetched)
            account.fetched = time.monotonic()
            return True

    async def _keep(self, fetched: Account) -> None:
        try:
            async with self._engine.begin() as conn:
                await stored.keep(conn, self._twilio, [fetched])
        except (SQLAlchemyError, OSError) as problem:  # the callback can be verified all the same
            log.warning("token_not_stored", account_sid=fetched.sid, reason=type(problem).__name__)
