"""`tollgate switch-customers`: switches a cohort of customers to another billing provider at a
limited pace, and pauses itself when too many switches fail.
"""

import asyncio
from dataclasses import dataclass

import typer
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.switching.fields import SwitchRequest
from cli.console import errors, output, table
from cli.failures import Misused
from cli.schema import AT_ONCE, configured, say
from cli.transactions import run
from db.billing import subscriptions
from db.lifecycle import standings
from db.switching import cohorts, switches
from domain.billing.subscription import Provider
from domain.plain_text import one_line
from domain.switching.switch import IN_WORDS, Start, in_cohort
from runtime.wiring import Services, from_environment

PAGE = 200
BY_HAND = "paused by an operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`percent` of all organizations switch to `plan_id` at `target`; the checkout returns the
    customer to one of the two URLs.
    """

    target: Provider
    plan_id: str
    return_url: str
    cancel_url: str
    percent: float
    per_minute: float = 60.0
    error_budget: float = 2.0


def switch_customers(
    *,
    to: Provider,
    cohort: str,
    plan: str,
    return_url: str,
    cancel_url: str,
    per_minute: float,
    error_budget: str,
    status: bool,
    pause: bool,
    resume: bool,
) -> None:
    configured()
    if pause and resume:
        raise Misused("--pause and --resume contradict each other")
    if pause:
        run(lambda conn: cohorts.pause(conn, to, BY_HAND))
    if resume:
        run(lambda conn: cohorts.resume(conn, to))
    if cohort:
        if not (plan and return_url and cancel_url):
            raise Misused("--cohort also needs --plan, --return-url and --cancel-url")
        _check(to, plan, return_url, cancel_url)
        wanted = Plan(
            target=to,
            plan_id=plan,
            return_url=return_url,
            cancel_url=cancel_url,
            percent=percent(cohort, "--cohort"),
            per_minute=per_minute,
            error_budget=percent(error_budget, "--error-budget"),
        )
        stopped = asyncio.run(_start(wanted))
        run(lambda conn: show(conn, to))
        if stopped is not None:
            errors.print(one_line(f"stopped: {stopped}"), style="red", highlight=False)
            raise typer.Exit(1)
    elif status or pause or resume:
        run(lambda conn: show(conn, to))
    else:
        raise Misused("pass --cohort, --status, --pause or --resume")


def percent(text: str, option: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise typer.BadParameter(f"{text!r} is not a share between 0% and 100%", param_hint=option)
    return value


def _check(to: Provider, plan: str, return_url: str, cancel_url: str) -> None:
    """Validate the options as the API does: a cohort offers the switch only once to each customer,
    so a wrong option would use up that offer.
    """
    try:
        SwitchRequest(provider=to, plan_id=plan, return_url=return_url, cancel_url=cancel_url)
    except ValidationError as problem:
        wrong = problem.errors()[0]
        option = str(wrong["loc"][0]).removesuffix("_id").replace("_", "-")
        raise Misused(f"--{option}: {wrong['msg']}") from problem


async def _start(plan: Plan) -> str | None:
    async with from_environment("tollgate-switch-customers", patience=AT_ONCE, say=say) as services:
        if plan.target not in services.providers:
            raise Misused(f"{plan.target.value} is not set up here")
        return await start(services, plan)


async def start(services: Services, plan: Plan) -> str | None:
    """Start the cohort's remaining switches at its pace. Returns why it stopped; None when all have
    been started.
    """
    after = ""
    while True:
        async with services.engine.connect() as conn:
            organization_ids = await cohorts.next_ones(conn, plan.target, after=after, limit=PAGE)
        for organization_id in organization_ids:
            if not in_cohort(organization_id, plan.percent):
                continue
            if (stopped := await _stopped(services, plan)) is not None:
                return stopped
            if await _begin(services, plan, organization_id):
                output.print(f"started {organization_id}", highlight=False)
                await asyncio.sleep(60 / plan.per_minute)
        if len(organization_ids) < PAGE:
            return await _stopped(services, plan)
        after = organization_ids[-1]


async def _stopped(services: Services, plan: Plan) -> str | None:
    async with services.engine.begin() as conn:
        cohort = await cohorts.look(conn, plan.target)
        if cohort.paused is None and cohort.error_rate > plan.error_budget:
            reason = f"{cohort.errors} of {cohort.ended} failed, more than {plan.error_budget:g}%"
            await cohorts.pause(conn, plan.target, reason)
            return reason
    return cohort.paused


async def _begin(services: Services, plan: Plan, organization_id: str) -> bool:
    async with services.engine.begin() as conn:
        await standings.lock(conn, organization_id)
        source = await subscriptions.current(conn, organization_id)
        before = await switches.newest(conn, organization_id)
        if source is None:
            return False
        if before is not None and before.target_provider is plan.target:
            return False  # another process started it after the page was read; a cohort offers each switch once
        outcome, _ = await switches.start(
            conn,
            source,
            plan.target,
            plan_id=plan.plan_id,
            return_url=plan.return_url,
            cancel_url=plan.cancel_url,
        )
    if outcome is not Start.STARTS:
        return False
    await services.notifier.notify_switch(organization_id)
    return True


async def show(conn: AsyncConnection, target: Provider) -> None:
    """Print the progress, whether the cohort is paused, and which switches failed."""
    cohort = await cohorts.look(conn, target)
    counts = table("state", "customers", "meaning")
    for state, number in (await cohorts.counts(conn, target)).items():
        counts.add_row(state.value, str(number), IN_WORDS[state])
    if counts.row_count:
        output.print(counts)
    for organization_id, state, reason in await cohorts.troubles(conn, target, limit=20):
        output.print(
            one_line(f"{organization_id} {state.value}: {reason}"), markup=False, highlight=False
        )
    rate = f"{cohort.errors} of {cohort.ended} finished switches failed ({cohort.error_rate:.1f}%)"
    output.print(
        one_line(f"{rate}; {f'PAUSED: {cohort.paused}' if cohort.paused else 'not paused'}")
    )
