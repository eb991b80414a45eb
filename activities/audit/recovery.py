"""Recovers a database that was restored: books what Twilio and the providers know and it does not.

Every step may be repeated: what is booked already changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.billing.confirmation import Billing
from activities.billing.confirmation import Organization as ToConfirm
from activities.campaigns import sent_since
from activities.inbox.event_backfill import EventBackfill, Settled
from activities.inbox.owner_lookup import Finding
from db.audit import certify
from db.campaigns import parked_campaigns, unmatched_messages
from db.inbox import adoption, pending_deliveries
from db.lifecycle import organizations, standings
from db.lifecycle.organizations import Organization
from db.recovery import fences
from domain.billing.subscription import Provider
from domain.campaigns.campaign import CampaignStatus, Park
from domain.campaigns.telephony import SentMessage
from providers.billing import BillingProvider
from providers.errors import ProviderError
from providers.twilio import Twilio

PAGE, AT_ONCE = 500, 8
"""Organizations read together from the database, and at Twilio."""
ATTEMPTS = 5
"""At the events of one organization, each as long as its provider takes to answer."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`problems` are what could not be done: repeat the recovery. `unmatched` messages need a
    person.
    """

    problems: tuple[str, ...]
    unmatched: int
    findings: tuple[certify.Finding, ...]

    @property
    def complete(self) -> bool:
        return (
            not self.problems and not self.unmatched and all(each.holds for each in self.findings)
        )


class Recovering:
    """One recovery; `say` prints a line for each step."""

    def __init__(
        self,
        engine: AsyncEngine,
        providers: Mapping[Provider, BillingProvider],
        twilio: Twilio,
        *,
        billing: Billing,
        backfill: EventBackfill,
        findings: Sequence[Finding],
        say: Say,
    ) -> None:
        self._engine = engine
        self._providers = providers
        self._twilio = twilio
        self._billing = billing
        self._backfill = backfill
        self._findings = findings
        self._say = say
        self._problems: list[str] = []
        self._left: list[tuple[Organization, tuple[SentMessage, ...]]] = []

    async def run(self, since: datetime, *, by: str) -> Summary:
        """Everything up to the opening of the fence, which is a person's decision."""
        await self._fence(since, by)
        await self._park()
        await self._book_messages(since)
        await self._take_in_events(since)
        await self._book_the_rest(since)
        findings = await certify.examine(self._engine)
        async with self._engine.connect() as conn:
            unmatched = await unmatched_messages.number_open(conn)
        return Summary(
            problems=tuple(self._problems), unmatched=unmatched, findings=tuple(findings)
        )

    async def _fence(self, since: datetime, by: str) -> None:
        reason = f"recovery of what happened since {since.isoformat()}"
        async with self._engine.begin() as conn:
            shut = await fences.shut(conn, reason, by=by)
        async with self._engine.connect() as conn:
            before = await fences.next_transaction(conn)
        while True:
            async with self._engine.connect() as conn:
                if await fences.are_over(conn, before):
                    break
            await asyncio.sleep(0.1)
        self._say("fence: shut" if shut else "fence: was shut already")

    async def _park(self) -> None:
        """Also those that would resume by themselves: what a person did since is not known."""
        parked = 0
        async with self._engine.connect() as conn:
            open_ = await parked_campaigns.organizations_with(
                conn, CampaignStatus.RUNNING, CampaignStatus.PARKED
            )
            scheduled = await parked_campaigns.organizations_with(conn, CampaignStatus.SCHEDULED)
        for organization_id in open_:
            async with self._engine.begin() as conn:
                await standings.lock(conn, organization_id)
                parked += len(
                    await parked_campaigns.park_running(conn, organization_id, Park.RECOVERY)
                )
        self._say(f"campaigns: {parked} parked")
        if scheduled:
            self._say(
                f"campaigns: those scheduled of {len(scheduled)} organizations begin at their time, "
                f"unless you cancel them: {', '.join(scheduled[:5])}"
            )

    async def _book_messages(self, since: datetime) -> None:
        """What the wallets can pay now; the rest waits for the payments."""
        listed = booked = 0
        turns = asyncio.Semaphore(AT_ONCE)

        async def book(organization: Organization) -> None:
            nonlocal listed, booked
            async with turns:
                try:
                    found = await sent_since.unknown_since(
                        self._engine, self._twilio, organization, since
                    )
                except ProviderError as problem:
                    self._problems.append(f"messages of {organization.id}: {problem}")
                    return
                listed += found.listed
                if not found.left:
                    return
                done = await sent_since.book(
                    self._engine, organization, found.left, since=since, finally_=False
                )
            booked += done.booked
            if done.left:
                self._left.append((organization, done.left))

        async for page in self._organizations():
            await asyncio.gather(*(book(organization) for organization in page))
        left = sum(len(messages) for _, messages in self._left)
        self._say(f"messages: {listed} at Twilio, {booked} booked, {left} left")

    async def _book_the_rest(self, since: datetime) -> None:
        if not self._left:
            return
        booked = left = 0
        for organization, messages in self._left:
            done = await sent_since.book(
                self._engine, organization, messages, since=since, finally_=True
            )
            booked, left = booked + done.booked, left + len(done.left)
        self._say(f"messages again: {booked} booked, {left} named as unmatched")

    async def _take_in_events(self, since: datetime) -> None:
        for provider in self._providers:
            tally = await self._backfill.compare(provider, Settled(seconds=0), since=since)
            if tally.problem:
                self._problems.append(f"events of {provider.value}: {tally.problem}")
            self._say(f"events of {provider.value}: {tally.listed} listed, {tally.missed} new")
        booked = set[str]()
        while waiting := await self._waiting():
            booked |= waiting
            for organization_id in sorted(waiting):
                await self._confirm(organization_id)
            if self._problems:
                break
        self._say(f"payments: of {len(booked)} organizations queried and booked")
        async with self._engine.connect() as conn:
            parked = (await pending_deliveries.backlog(conn)).parked
        if parked:
            self._say(f"events: {parked} are parked, see `tollgate parked`")

    async def _waiting(self) -> set[str]:
        """The organizations with events to handle, after another look at those without one: what
        names a payment alone has its owner only once that payment is booked.
        """
        now = datetime.now(UTC)
        async with self._engine.begin() as conn:
            await adoption.hasten(conn, now=now)
        for finding in self._findings:
            while await finding.find(now=now):
                pass
        async with self._engine.connect() as conn:
            return set(await pending_deliveries.waiting_organizations(conn))

    async def _confirm(self, organization_id: str) -> None:
        """As its lifecycle does, which may do so at the same time."""
        problem = "its events are not all handled: is a worker running?"
        for _ in range(ATTEMPTS):
            try:
                await self._billing.confirm_subscription(ToConfirm(organization_id=organization_id))
            except ApplicationError as error:
                problem = str(error)
            async with self._engine.connect() as conn:
                if not await pending_deliveries.unhandled(conn, organization_id):
                    return
            await asyncio.sleep(1)
        self._problems.append(f"payments of {organization_id}: {problem}")

    async def _organizations(self) -> AsyncIterator[list[Organization]]:
        after: str | None = None
        while True:
            async with self._engine.connect() as conn:
                page = await organizations.page(conn, after=after, limit=PAGE)
            yield page
            if len(page) < PAGE:
                return
            after = page[-1].id
