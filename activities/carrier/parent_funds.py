"""Reads each parent account and its balance: raises an alert before the balance is used up, and
when Twilio has suspended the account, and with it every organization.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.failures import first_line, translated_forever
from db import alerts
from db.carrier import parent_funds
from domain.alerts import AlertKind
from domain.campaigns.telephony import AccountStatus
from domain.carrier import runway
from domain.carrier.runway import Funds
from providers.errors import ProviderError, ProviderRefused
from providers.twilio import Twilio, funds

log = structlog.get_logger()


class ParentFunds:
    """`turn` waits for the turn of one call of the budget that all workers share."""

    def __init__(
        self, engine: AsyncEngine, twilio: Twilio, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._turn = turn

    async def read(self, *, now: datetime) -> int:
        """Read each parent, and raise or clear the alerts; returns how many were read. One that
        does not answer keeps what is known of it. Raises retryably if none answers.
        """
        problems: list[ProviderError] = []
        suspended: list[str] = []
        for parent in self._twilio.parents:
            try:
                await self._turn()
                account = await self._twilio.get_account(parent)
                read = await self._funds(parent, now)
            except ProviderError as problem:
                log.warning("balance_not_read", account=parent, reason=first_line(problem))
                problems.append(problem)
                continue
            if account.status is not AccountStatus.ACTIVE:
                suspended.append(runway.suspended(parent, account.status, read.balance))
            async with self._engine.begin() as conn:
                await parent_funds.put(conn, read, now=now)
        async with self._engine.begin() as conn:
            await parent_funds.keep_only(conn, self._twilio.parents)
            await _warn(conn, await parent_funds.read(conn))
            if suspended:
                detail = "; ".join(suspended)
                await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.PARENT_SUSPENDED, detail)
            elif not problems:
                await alerts.clear(conn, alerts.INSTALLATION, AlertKind.PARENT_SUSPENDED)
        if len(problems) == len(self._twilio.parents):
            with translated_forever():
                raise problems[0]
        return len(self._twilio.parents) - len(problems)

    async def _funds(self, parent: str, now: datetime) -> Funds:
        first, over = runway.window(now)
        await self._turn()
        balance = await funds.balance(self._twilio, parent)
        await self._turn()
        spent = await funds.spent(self._twilio, parent, first, now.astimezone(UTC).date())
        if spent is not None and spent.currency != balance.currency:
            raise ProviderRefused(
                f"the balance is in {balance.currency}, the usage in {spent.currency}"
            )
        micros = 0 if spent is None else spent.micros
        return Funds(account_sid=parent, balance=balance, spent_micros=micros, over=over)


async def _warn(conn: AsyncConnection, known: list[Funds]) -> None:
    last = [each for each in known if each.lasts_at_most(runway.LAST)]
    low = [each for each in known if each.lasts_at_most(runway.LOW) and each not in last]
    await _note(conn, AlertKind.BALANCE_LOW, low)
    await _note(conn, AlertKind.BALANCE_LAST_DAY, last)


async def _note(conn: AsyncConnection, kind: AlertKind, those: list[Funds]) -> None:
    if those:
        detail = "; ".join(str(each) for each in those)
        await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
    else:
        await alerts.clear(conn, alerts.INSTALLATION, kind)
