"""Compares the standings with the statuses of the subaccounts, as Twilio lists them by thousands.

The list only raises suspicion, because it may be older than what was read from the database: a GET
of the subaccount decides.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.budgets import Budgets, Endpoint
from activities.audit.differences import Differences
from activities.audit.passes import Pass
from activities.failures import translated_forever
from activities.lifecycle import subaccounts
from db import locks
from db.audit import comparisons
from db.audit.comparisons import Recorded
from db.billing import blocks
from db.lifecycle import standings, suspensions
from db.lifecycle.organizations import Organization
from domain.audit.reconciliation import Census
from domain.billing.comparison import Difference
from domain.campaigns.telephony import Account, AccountStatus
from domain.lifecycle.standing import Standing, Status
from providers.errors import NotFound
from providers.twilio import Twilio, funds

_LIST, _MISSING = "list", "missing"
_UNLISTED_AT_ONCE = 20


class TwilioComparison:
    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, differences: Differences, budgets: Budgets
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._differences = differences
        self._budgets = budgets

    async def step(self, at: Pass) -> Pass:
        """Compare a page of the list; behind the last page, look for those that were not in it."""
        if not at.phase:
            async with self._engine.connect() as conn:
                expected = await comparisons.number_of_accounts(conn, before=at.since)
            at = replace(at.enter(_LIST), expected=expected)
            return at if expected else at.end()
        return await (self._compare_page(at) if at.phase == _LIST else self._look_for_missing(at))

    async def _compare_page(self, at: Pass) -> Pass:
        await self._budgets.take(Endpoint.TWILIO_ACCOUNTS)
        with translated_forever():
            page = await self._twilio.list_accounts(page=at.at)
        async with self._engine.begin() as conn:
            await subaccounts.keep(conn, self._twilio, page.accounts)
        statuses = {account.sid: account.status for account in page.accounts}
        async with self._engine.connect() as conn:
            found = await comparisons.of_accounts(conn, list(statuses))
        suspects = [recorded for recorded in found if _looks_different(recorded, statuses)]
        compared = await self._differences.find(
            Endpoint.TWILIO_ACCOUNTS,
            [recorded.organization for recorded in suspects],
            self.difference,
            _id,
        )
        suspected = {recorded.organization.id for recorded in suspects}
        alike = [
            each.organization.id
            for each in found
            if not each.standing.behind and each.organization.id not in suspected
        ]
        await self._differences.agree([*alike, *compared.agreeing], with_twilio=True)
        census = Census(at.listed)
        census.add(
            recorded.organization.twilio_account_sid
            for recorded in found
            if recorded.organization.created_at is not None
            and recorded.organization.created_at < at.since
        )
        at = at.beyond(page.next, compared=len(found), differing=compared.differing)
        if census.total >= at.expected:
            return at.end()  # what is not listed yet belongs to nobody here
        at = replace(at, listed=census.counts)
        return at if page.next is not None else at.enter(_MISSING)

    async def _look_for_missing(self, at: Pass) -> Pass:
        async with self._engine.connect() as conn:
            expected = await comparisons.accounts_by_bucket(conn, before=at.since)
            unlisted = await comparisons.accounts_in(
                conn,
                Census(at.listed).differing(expected),
                before=at.since,
                after=at.at or "",
                limit=_UNLISTED_AT_ONCE,
            )
        compared = await self._differences.find(
            Endpoint.TWILIO_ACCOUNTS, unlisted, self.difference, _id
        )
        await self._differences.agree(compared.agreeing, with_twilio=True)
        if len(unlisted) < _UNLISTED_AT_ONCE:
            return at.beyond(None, differing=compared.differing).end()
        return at.beyond(unlisted[-1].id, differing=compared.differing)

    async def difference(self, organization: Organization) -> Difference | None:
        """What a GET of its subaccount shows, compared with its standing; what was suspended is
        suspended again.
        """
        async with self._engine.connect() as conn:
            standing = await standings.get(conn, organization.id)
        if standing is None or standing.behind:
            return None  # its workflow is at work, and the relay notifies it
        try:
            account = await self._twilio.get_account(organization.twilio_account_sid)
        except NotFound:
            return Difference(
                text=f"Twilio does not have the subaccount {organization.twilio_account_sid}"
            )
        if _agree(standing, account.status):
            return None
        if standing.status is Status.ACTIVE and await funds.why_suspended(
            self._twilio, account.sid
        ):
            return None  # everybody's, and no organization's: it is an alert of its own
        await self._follow(standing, account)
        return Difference(
            text=f"the standing is {standing.status.value}, the Twilio subaccount "
            f"{account.status.value}"
        )

    async def _follow(self, standing: Standing, account: Account) -> None:
        """Suspend the open subaccount of a suspended organization again; block an organization
        whose subaccount Twilio closed or suspended.
        """
        async with self._engine.begin() as conn:
            await locks.hurry(conn)
            if await standings.lock(conn, standing.organization_id) != standing:
                return  # it changed after the read: its lifecycle workflow is running
            if standing.status is Status.SUSPENDED:
                await standings.mark_unapplied(conn, standing.organization_id)
                return
            if account.status is AccountStatus.SUSPENDED and await suspensions.take_back(
                conn, standing, now=datetime.now(UTC)
            ):
                return
            reason = f"Twilio reports the subaccount as {account.status.value}"
            await blocks.block_telephony(
                conn, standing.organization_id, reason, now=datetime.now(UTC)
            )


def _looks_different(recorded: Recorded, statuses: Mapping[str, AccountStatus]) -> bool:
    status = statuses[recorded.organization.twilio_account_sid]
    return not recorded.standing.behind and not _agree(recorded.standing, status)


def _agree(standing: Standing, status: AccountStatus) -> bool:
    return (status is AccountStatus.ACTIVE) == (standing.status is Status.ACTIVE)


def _id(organization: Organization) -> str:
    return organization.id
