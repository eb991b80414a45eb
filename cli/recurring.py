"""`tollgate recurring`: what a subaccount costs whether it is used or not, and
what an operator gives up of it.
"""

import asyncio
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from api.carrier.recurring import RecurringCostOut
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.reasons import user
from cli.schema import AT_ONCE, configured_wholly, say
from cli.transactions import run
from db.carrier import recurring, releases
from db.carrier.releases import NotProposed, NotSuspended, Release
from db.lifecycle import organizations
from db.wallet import reserves
from domain.carrier.release import LOSES, Proposal, ReleaseStep
from domain.money import to_decimal_string
from providers.errors import ProviderError
from runtime.wiring import from_environment


def show(organization_id: str, *, as_json: bool) -> None:
    found, proposed = run(lambda conn: _found(conn, organization_id))
    if as_json:
        write(found.model_dump_json())
        return
    costs = table("costs", "a day")
    for item in found.items:
        costs.add_row(item.name, f"{to_decimal_string(int(item.daily))} {item.currency}")
    output.print(costs)
    if found.message:
        output.print(found.message)
    output.print(
        f"reserve of {found.reserve_days} days: {_shown(found.reserve_held)} of "
        f"{_shown(found.reserve_wanted)} {found.currency} held"
    )
    if proposed:
        steps = table("step", "what", "saves a day", "what is lost")
        for each in proposed:
            saves = f"{to_decimal_string(each.saves_daily_micros)} {each.currency}"
            steps.add_row(
                each.step.value, f"{each.number_sid} {each.name}", saves, LOSES[each.step]
            )
        output.print(steps)
        output.print("`tollgate recurring release` takes a step")


def release(organization_id: str, step: ReleaseStep, number_sid: str, *, reason: str) -> None:
    configured_wholly()
    taken = asyncio.run(_release(organization_id, step, number_sid, reason))
    if taken.done_at is None:
        output.print(
            f"recorded: {step.value} {number_sid}. Not done at Twilio yet ({LOSES[step]}): repeat it"
        )
        return
    output.print(f"done: {step.value} {number_sid}")


def _shown(micros: object) -> str:
    return to_decimal_string(int(str(micros)))


async def _found(
    conn: AsyncConnection, organization_id: str
) -> tuple[RecurringCostOut, list[Proposal]]:
    organization = await organizations.get(conn, organization_id)
    if organization is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    costs = await recurring.get(conn, organization_id)
    reserve = await reserves.get(conn, organization_id)
    proposed = await releases.proposals(conn, organization_id, now=datetime.now(UTC))
    return RecurringCostOut.of(organization, costs, reserve), proposed


async def _release(
    organization_id: str, step: ReleaseStep, number_sid: str, reason: str
) -> Release:
    async with from_environment("tollgate-release", patience=AT_ONCE, say=say) as services:
        try:
            outcome = await services.releases.confirm(
                organization_id, step, number_sid, by=user(), reason=reason, now=datetime.now(UTC)
            )
        except ProviderError as problem:
            raise CommandFailed(f"not done, and recorded: {problem}; repeat it") from problem
    match outcome:
        case NotSuspended():
            raise CommandFailed(f"{organization_id} is not suspended: nothing was given up")
        case NotProposed():
            raise CommandFailed(
                f"that step is not proposed: see `tollgate recurring show {organization_id}`"
            )
        case Release():
            return outcome
