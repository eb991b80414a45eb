"""Twilio subaccounts and messages, with the parent's credentials; never closes a subaccount.

Sources: Twilio's OpenAPI `twilio_api_v2010.json` and its error pages for the codes named below.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from twilio.rest import Client  # type: ignore[import-untyped]

from domain.campaigns.telephony import (
    CLOCKS_DIFFER,
    Accepted,
    Account,
    AccountPage,
    AccountStatus,
    MessagePage,
    NotProcessed,
    OutboundMessage,
    SendOutcome,
    SentMessage,
    SentSince,
    Unknown,
)
from providers.errors import NotFound, ProviderRefused, ProviderUnavailable
from providers.http import FastClient
from providers.twilio import reading
from providers.twilio.message_form import basic_credentials, message_form
from providers.twilio.parents import ParentOf, Parents
from providers.twilio.refusals import WRONG_CREDENTIALS, refused, why_not
from providers.twilio.triggers import UsageTriggers
from providers.twilio.usage import DailyUsage
from providers.twilio.wire import API_ORIGIN, NO_ANSWER, NotTaken, Wire, answer_of

_MOST_LISTED = 1000


class Twilio:
    """`client` has the time limits (providers.http.fast_client). `base_url` differs only for a
    simulator. `further` are the tokens of further parent accounts by sid; `recorded` names the
    parent of a subaccount where it is known.
    """

    def __init__(
        self,
        *,
        client: FastClient,
        account_sid: str,
        auth_token: str,
        base_url: str = API_ORIGIN,
        further: Mapping[str, str] | None = None,
        recorded: ParentOf | None = None,
    ) -> None:
        if not account_sid or not auth_token:
            raise ValueError("Twilio needs the parent's account sid and auth token")
        tokens = {account_sid: auth_token, **(further or {})}
        self.wire = Wire(client, base_url)
        self._clients = {
            sid: Client(sid, token, http_client=self.wire) for sid, token in tokens.items()
        }
        self._credentials = {sid: basic_credentials(sid, token) for sid, token in tokens.items()}
        self._accounts = {sid: each.api.v2010.accounts for sid, each in self._clients.items()}
        self._parents = Parents(tokens, recorded)

    @property
    def parents(self) -> Sequence[str]:
        return self._parents.sids

    def client_of(self, parent_sid: str) -> Any:
        """The SDK, with a parent's credentials."""
        return self._clients[parent_sid]

    def as_parent(self, parent_sid: str) -> Any:
        """The SDK's view of a parent's own account."""
        return self._accounts[parent_sid](parent_sid)

    def pricing(self, parent_sid: str) -> Any:
        """The SDK's view of what a parent and its subaccounts pay."""
        return self._clients[parent_sid].pricing.v1

    async def get_account(self, sid: str) -> Account:
        """Looks for it at every parent if it is not where it is recorded."""
        recorded = await self._parents.of(sid)
        refusals: list[ProviderRefused] = []
        for parent in sorted(self._parents.sids, key=lambda parent: parent != recorded):
            found = partial(self._accounts[parent](_checked(sid)).fetch_async)
            try:
                account = reading.account(await answer_of(found))
            except ProviderRefused as refusal:
                if refusal.code not in WRONG_CREDENTIALS and not isinstance(refusal, NotFound):
                    raise
                refusals.append(refusal)
            else:
                self._parents.note(sid, parent)
                return account
        # a parent whose credentials are wrong may be the one that has it
        raise min(refusals, key=lambda refusal: isinstance(refusal, NotFound))

    async def parent_of(self, sid: str) -> str:
        """The parent account of a subaccount; asks Twilio only if it is not recorded."""
        parent = await self._parents.of(sid)
        if parent is None:
            await self.get_account(sid)
            parent = await self._parents.of(sid)
        return parent or self.main_parent

    @property
    def main_parent(self) -> str:
        return self._parents.sids[0]

    def encrypted_token(self, account: Account) -> bytes | None:
        """None if its parent is none of ours."""
        return self._parents.encrypted(account.sid, account.owner_sid, account.auth_token)

    def decrypted_token(self, account_sid: str, encrypted: bytes) -> str | None:
        """None if it was encrypted with a token that its parent no longer has."""
        return self._parents.decrypted(account_sid, encrypted)

    async def list_accounts(self, *, page: str | None = None) -> AccountPage:
        """The subaccounts of each parent and itself, in Twilio's order, a thousand per page, which
        is the most; `page` is the previous page's `next`. A page of a parent that is no longer set
        up is empty, and the last.
        """
        parents = list(self._accounts)
        parent, _, url = (page or parents[0]).partition(" ")
        if parent not in parents:
            return AccountPage(accounts=(), next=None)
        accounts = self._accounts[parent]
        if url:
            answer = await answer_of(lambda: accounts.get_page_async(url))
        else:
            answer = await answer_of(lambda: accounts.page_async(page_size=_MOST_LISTED))
        following = next(iter(parents[parents.index(parent) + 1 :]), None)
        if answer.next_page_url is not None:
            following = f"{parent} {answer.next_page_url}"
        return AccountPage(accounts=tuple(reading.accounts(answer)), next=following)

    async def ensure_status(self, sid: str, want: AccountStatus) -> Account:
        """Set the status and read it back. A closed subaccount counts as suspended and can never be
        active again.
        """
        if want is AccountStatus.CLOSED:
            raise ValueError("closing a subaccount cannot be undone and is not done here")
        refusal: ProviderRefused | None = None
        try:
            subaccount = await self.as_subaccount(sid)
            await answer_of(lambda: subaccount.update_async(status=want.value))
        except ProviderRefused as problem:
            refusal = problem
        account = await self.get_account(sid)
        if account.status is want or (
            account.status is AccountStatus.CLOSED and want is AccountStatus.SUSPENDED
        ):
            return account
        raise why_not(account, want, refusal)

    async def send(self, message: OutboundMessage) -> SendOutcome:
        """POST once. Raises `ProviderRefused` only if our own credentials are wrong."""
        try:
            account_sid = _checked(message.account_sid)
            credentials = self._credentials[await self.parent_of(account_sid)]
        except ProviderUnavailable as problem:  # its parent was looked for; nothing was posted
            return NotProcessed(reason=str(problem), unreachable=True)
        except ProviderRefused as refusal:
            return refused(refusal)
        try:
            answer = await self.wire.post(
                f"/2010-04-01/Accounts/{account_sid}/Messages.json",
                message_form(message),
                credentials,
            )
        except NotTaken as problem:
            return NotProcessed(
                reason=str(problem),
                retry_after=problem.retry_after,
                code=reading.number(problem.code),
                unreachable=problem.code == NO_ANSWER,
            )
        except ProviderUnavailable as problem:
            return Unknown(reason=str(problem))
        except ProviderRefused as refusal:
            return refused(refusal)
        sid, status = answer.get("sid"), reading.delivery_status(answer.get("status"))
        if not isinstance(sid, str) or not sid or status is None:
            return Unknown(
                reason="Twilio answered a success without a message sid or a known status"
            )
        return Accepted(sid=sid, status=status)

    async def get_message(self, account_sid: str, sid: str) -> SentMessage:
        messages = (await self.as_subaccount(account_sid)).messages
        return reading.message(await answer_of(lambda: messages(_checked(sid)).fetch_async()))

    async def sent_since(
        self, account_sid: str, since: datetime, *, to: str | None = None, most_pages: int = 20
    ) -> SentSince:
        """Outbound messages created since a time, to one number or to any, newest first.

        Twilio filters by the day of sending only, which excludes unsent messages, so the list is
        read from its beginning: it is "sorted by the DateSent field, with the most recent messages
        appearing first". Reading ends at a page with only older messages.
        """
        found: list[SentMessage] = []
        pages = 0
        async with aclosing(self.pages_since(account_sid, since, to=to)) as listed:
            async for page in listed:
                if pages == most_pages:
                    return SentSince(messages=tuple(found), complete=False)
                found += page
                pages += 1
        return SentSince(messages=tuple(found), complete=True)

    async def pages_since(
        self,
        account_sid: str,
        since: datetime,
        *,
        to: str | None = None,
        inbound: bool = False,
    ) -> AsyncGenerator[list[SentMessage]]:
        """The same list, page by page to its end; with `inbound` in both directions."""
        page: str | None = None
        while True:
            listed = await self.page_since(account_sid, since, to=to, inbound=inbound, page=page)
            yield [*listed.messages]
            page = listed.next
            if page is None:
                return

    async def page_since(
        self,
        account_sid: str,
        since: datetime,
        *,
        to: str | None = None,
        inbound: bool = False,
        page: str | None = None,
    ) -> MessagePage:
        """A page of it; `page` is the previous page's `next`."""
        oldest = since.astimezone(UTC) - CLOCKS_DIFFER
        messages = (await self.as_subaccount(account_sid)).messages
        if page is None:
            of = {} if to is None else {"to": to}
            answer = await answer_of(lambda: messages.page_async(page_size=_MOST_LISTED, **of))
        else:
            answer = await answer_of(lambda: messages.get_page_async(page))
        listed = [reading.message(item) for item in answer]
        found = tuple(
            message
            for message in listed
            if (message.outbound or inbound)
            and (message.created_at is None or message.created_at >= oldest)
        )
        over = all(message.newest is not None and message.newest < oldest for message in listed)
        return MessagePage(messages=found, next=None if over else answer.next_page_url)

    async def list_messages(
        self, account_sid: str, day: date, *, page: str | None = None
    ) -> MessagePage:
        """Messages sent on a day (UTC), a thousand per page; `page` is the previous page's `next`."""
        messages = (await self.as_subaccount(account_sid)).messages
        if page is None:
            answer = await answer_of(
                lambda: messages.page_async(date_sent=day.isoformat(), page_size=_MOST_LISTED)
            )
        else:
            answer = await answer_of(lambda: messages.get_page_async(page))
        return MessagePage(
            messages=tuple(reading.message(item) for item in answer), next=answer.next_page_url
        )

    async def usage_of(self, account_sid: str) -> DailyUsage:
        """What Twilio charges an account, day by day."""
        return DailyUsage(await self.as_subaccount(account_sid))

    async def triggers_of(self, account_sid: str) -> UsageTriggers:
        return UsageTriggers(await self.as_subaccount(account_sid))

    async def as_subaccount(self, sid: str) -> Any:
        """The SDK's view of a subaccount, with its parent's credentials."""
        return self._accounts[await self.parent_of(sid)](_checked(sid))


def _checked(sid: str) -> str:
    """Validates a sid, as the SDK puts it into paths unescaped and one from a webhook may contain
    `/` or `..`.
    """
    if not reading.SID.fullmatch(sid):
        raise NotFound(f"{sid!r} is not a Twilio sid", code="NOT_A_SID")
    return sid
