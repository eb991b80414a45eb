"""What a subaccount costs whether it is used or not, its reserve, and what an operator can give up
of it while it is suspended.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, READ, Caller
from api.http.errors import Kind, Problem, not_found
from api.http.fields import Body, CurrencyOut, Decimal, Name, Time
from api.http.idempotency import Once
from db.carrier import recurring, releases
from db.carrier.recurring import Recurring
from db.carrier.releases import NotProposed, NotSuspended, Release
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.wallet import reserves
from domain.carrier.recurring import CostKind, RecurringCost, a_day, costing
from domain.carrier.release import LOSES, Proposal, ReleaseStep
from domain.money import Money
from domain.wallet.reserves import Reserve

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["organizations"])


_STEP = (
    "`remove_webhooks`, `delete_recordings`, `release_number`, or `return_short_code`, which a person "
    "does in Twilio's console."
)


class RecurringItemOut(BaseModel):
    """One number, short code or 10DLC campaign, or one category of usage that recurs."""

    kind: CostKind = Field(
        description="`number`, `short_code`, `us_campaign` (10DLC), or `usage` for a category."
    )
    id: str = Field(examples=["PN0123"], description="Twilio's sid, or the category.")
    name: str = Field(examples=["+15550001000 (local)"], description="For people.")
    daily: Decimal = Field(description="A thirtieth of what it costs a month, rounded up.")
    currency: CurrencyOut = Field(description="The currency in which Twilio charges it.")

    @classmethod
    def of(cls, cost: RecurringCost) -> "RecurringItemOut":
        return cls(
            kind=cost.kind,
            id=cost.reference,
            name=cost.name,
            daily=a_day(cost.monthly_micros),
            currency=cost.currency,
        )


class RecurringCostOut(BaseModel):
    """What the subaccount of an organization costs whether it is used or not, also while it is
    suspended, and what its wallet reserves for that.
    """

    daily: Decimal | None = Field(
        description="A day, in the currency of the wallet; null: not read yet, or see `message`."
    )
    currency: CurrencyOut = Field(description="The currency of the wallet.")
    read_at: Time | None = Field(
        description="When it was read. It is read daily where something is reserved, and while the "
        "organization is suspended."
    )
    items: list[RecurringItemOut] = Field(description="What it consists of.")
    suspended_at: Time | None = Field(description="Since when it is suspended; null: it is not.")
    message: str | None = Field(
        examples=["costing us 0.12 USD a day since 2026-05-04"],
        description="What it costs while it is suspended, or why it is not known, for people.",
    )
    reserve_days: int = Field(description="For how many days the cost is reserved.")
    reserve_wanted: Decimal = Field(description="What the wallet is to reserve.")
    reserve_held: Decimal = Field(description="What it does reserve.")
    reserve_short: Decimal = Field(description="What it lacks: money that comes in fills it.")

    @classmethod
    def of(
        cls, organization: Organization, found: Recurring, reserve: Reserve
    ) -> "RecurringCostOut":
        return cls(
            daily=found.daily_micros,
            currency=organization.currency,
            read_at=found.read_at,
            items=[RecurringItemOut.of(cost) for cost in found.costs],
            suspended_at=found.suspended_since,
            message=found.problem or in_words(organization.currency, found),
            reserve_days=organization.funds.reserve_days,
            reserve_wanted=reserve.wanted_micros,
            reserve_held=reserve.held_micros,
            reserve_short=reserve.short_micros,
        )


class ReleaseRequest(Body):
    """The step to take, as it is proposed, and why."""

    step: ReleaseStep = Field(description=_STEP)
    reason: Name = Field(description="In one line, for whoever looks at it later.")
    number_sid: Annotated[str, Field(pattern=r"^((PN|SC)[0-9A-Za-z]{1,62}|recordingstorage)$")] = (
        Field(
            description="Twilio's id of the number or short code; `recordingstorage` for recordings."
        )
    )


class ReleaseOut(BaseModel):
    """A step by which a suspended subaccount costs less: proposed, or confirmed by an operator."""

    step: ReleaseStep = Field(description=_STEP)
    number_sid: str = Field(
        examples=["PN0123"],
        description="Twilio's id of the number or short code; `recordingstorage` for recordings.",
    )
    name: str = Field(examples=["+15550001000 (local)"], description="For people.")
    saves_daily: Decimal = Field(
        description="What it saves a day. Webhooks that are removed save it once the subaccount is "
        "active again: a suspended one receives nothing."
    )
    currency: CurrencyOut = Field(description="The currency in which Twilio charges.")
    loses: str = Field(description="What is lost.")
    confirmed_at: Time | None = Field(description="When an operator confirmed it; null: proposed.")
    done_at: Time | None = Field(
        description="When it was done at Twilio; null: not yet, repeat the step."
    )
    by: str | None = Field(description="Who confirmed it.")
    reason: str | None = Field(description="Why.")
    webhooks: str | None = Field(
        default=None, description="The webhooks that the number had, as JSON."
    )

    @classmethod
    def proposed(cls, proposal: Proposal) -> "ReleaseOut":
        return cls(
            step=proposal.step,
            number_sid=proposal.number_sid,
            name=proposal.name,
            saves_daily=proposal.saves_daily_micros,
            currency=proposal.currency,
            loses=LOSES[proposal.step],
            confirmed_at=None,
            done_at=None,
            by=None,
            reason=None,
        )

    @classmethod
    def of(cls, release: Release) -> "ReleaseOut":
        return cls.proposed(release.proposal).model_copy(
            update={
                "confirmed_at": release.confirmed_at,
                "done_at": release.done_at,
                "by": release.by,
                "reason": release.reason,
                "webhooks": release.before or None,
            }
        )


class ReleasesOut(BaseModel):
    """What of a subaccount can be given up, and what was."""

    proposed: list[ReleaseOut] = Field(
        description="While the organization is suspended, the lightest first."
    )
    confirmed: list[ReleaseOut] = Field(description="What operators confirmed, the newest first.")


@router.get(
    "/recurring-cost",
    dependencies=[READ],
    operation_id="get_recurring_cost",
    summary="Get the recurring cost of a subaccount",
)
async def get(organization_id: OrganizationId, here: Here) -> RecurringCostOut:
    """Returns what Twilio charges whether the subaccount is used or not, such as the rent of its
    numbers, and what is reserved for it. A suspension does not stop it.
    """
    async with here.snapshot() as conn:
        organization = await organizations.get(conn, organization_id)
        found = await recurring.get(conn, organization_id)
        reserve = await reserves.get(conn, organization_id)
    if organization is None:
        raise not_found("organization")
    return RecurringCostOut.of(organization, found, reserve)


@router.get(
    "/releases",
    dependencies=[OPERATOR],
    operation_id="list_releases",
    summary="List what of a suspended subaccount can be given up",
)
async def list_releases(organization_id: OrganizationId, here: Here) -> ReleasesOut:
    """Returns proposals while the organization is suspended, and what operators confirmed. Nothing is
    given up unless an operator confirms it.
    """
    now = datetime.now(UTC)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        proposed = await releases.proposals(conn, organization_id, now=now)
        confirmed = await releases.confirmed(conn, organization_id)
    taken = {(each.proposal.step, each.proposal.number_sid) for each in confirmed}
    return ReleasesOut(
        proposed=[
            ReleaseOut.proposed(each)
            for each in proposed
            if (each.step, each.number_sid) not in taken
        ],
        confirmed=[ReleaseOut.of(each) for each in confirmed],
    )


@router.post(
    "/releases",
    dependencies=[OPERATOR],
    operation_id="create_release",
    summary="Give up something of a suspended subaccount",
)
async def confirm(
    organization_id: OrganizationId, body: ReleaseRequest, caller: Caller, here: Here, once: Once
) -> ReleaseOut:
    """Does one proposed step at Twilio, and records who wanted it and why. Repeating it does what was
    not done yet, and returns what was done. Returns 409 if the organization is not suspended, 404
    if the step is not proposed.
    """
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
    await once.begin(here, body)
    outcome = await here.services.releases.confirm(
        organization_id,
        body.step,
        body.number_sid,
        by=f"{caller.name} ({caller.id})",
        reason=body.reason,
        now=datetime.now(UTC),
    )
    match outcome:
        case NotSuspended():
            raise Problem(Kind.ORGANIZATION_NOT_SUSPENDED)
        case NotProposed():
            raise not_found("release")
        case _:
            if outcome.done_at is not None:
                await once.finish(here, body)
            return ReleaseOut.of(outcome)


def in_words(currency: str, found: Recurring) -> str | None:
    """While it is suspended and what it costs is known."""
    if found.suspended_since is None or not found.daily_micros:
        return None
    return costing(Money(found.daily_micros, currency), found.suspended_since)
