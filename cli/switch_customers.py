"""`tollgate migrate-customers`: move a cohort of customers to another billing provider, slowly, and
stop by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import typer
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.switching.fields import NewMigration
from cli.console import errors, output, table
from cli.failures import Misused
from cli.schema import AT_ONCE, configured, database_url, say
from db.billing import subscriptions
from db.lifecycle import standings
from db.switching import cohorts, switches
from domain.billing.subscription import Provider
from domain.plain_text import one_line
from domain.switching.switch import IN_WORDS, in_cohort
from runtime.database import create_engine
from runtime.wiring import Services, from_environment

T = TypeVar("T")
PAGE = 200
BY_HAND = "paused by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who is moved to what: `percent` of all organizations; pages to come back to from the
    checkout.
    """

    target: Provider
    plan_id: str
    return_url: str
    cancel_url: str
    percent: float
    per_minute: float = 60.0
    error_budget: float = 2.0


def migrate_customers(
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
        _run(lambda conn: cohorts.pause(conn, to, BY_HAND))
    if resume:
        _run(lambda conn: cohorts.resume(conn, to))
    if cohort:
        if not (plan and return_url and cancel_url):
            raise Misused("--cohort needs --plan, --return-url and --cancel-url, too")
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
        _run(lambda conn: show(conn, to))
        if stopped is not None:
            errors.print(one_line(f"stopped: {stopped}"), style="red", highlight=False)
            raise typer.Exit(1)
    elif status or pause or resume:
        _run(lambda conn: show(conn, to))
    else:
        raise Misused("say --cohort, --status, --pause or --resume")


def percent(text: str, option: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise typer.BadParameter(f"{text!r} is not a share between 0% and 100%", param_hint=option)
    return value


def _check(to: Provider, plan: str, return_url: str, cancel_url: str) -> None:
    """As the API does: each customer of the cohort would be refused for it, and is asked once
    only.
    """
    try:
        NewMigration(provider=to, plan_id=plan, return_url=return_url, cancel_url=cancel_url)
    except ValidationError as problem:
        wrong = problem.errors()[0]
        option = str(wrong["loc"][0]).removesuffix("_id").replace("_", "-")
        raise Misused(f"--{option}: {wrong['msg']}") from problem


async def _start(plan: Plan) -> str | None:
    async with from_environment(
        "tollgate-migrate-customers", patience=AT_ONCE, say=say
    ) as services:
        if plan.target not in services.providers:
            raise Misused(f"{plan.target.value} is not set up here")
        return await start(services, plan)


async def start(services: Services, plan: Plan) -> str | None:
    """Start what is not started yet of the cohort, at its pace. Returns why it stopped; None: all
    are started.
    """
    after = ""
    while True:
        async with services.engine.connect() as conn:
            found = await cohorts.next_ones(conn, plan.target, after=after, limit=PAGE)
        for organization_id in found:
            if not in_cohort(organization_id, plan.percent):
                continue
            if (stopped := await _stopped(services, plan)) is not None:
                return stopped
            if await _begin(services, plan, organization_id):
                output.print(f"started {organization_id}", highlight=False)
                await asyncio.sleep(60 / plan.per_minute)
        if len(found) < PAGE:
            return await _stopped(services, plan)
        after = found[-1]


async def _stopped(services: Services, plan: Plan) -> str | None:
    async with services.engine.begin() as conn:
        now = await cohorts.look(conn, plan.target)
        if now.paused is None and now.error_rate > plan.error_budget:
            reason = f"{now.errors} of {now.ended} went wrong, more than {plan.error_budget:g}%"
            await cohorts.pause(conn, plan.target, reason)
            return reason
    return now.paused


async def _begin(services: Services, plan: Plan, organization_id: str) -> bool:
    async with services.engine.begin() as conn:
        await standings.lock(conn, organization_id)
        source = await subscriptions.current(conn, organization_id)
        before = await switches.newest(conn, organization_id)
        if source is None or source.provider is plan.target:
            return False
        if before is not None and before.target_provider is plan.target:
            return False  # somebody else began it since the page was read, and a cohort asks nobody twice
        begun = await switches.start(
            conn,
            source,
            plan.target,
            plan_id=plan.plan_id,
            return_url=plan.return_url,
            cancel_url=plan.cancel_url,
        )
    await services.doorbell.ring_migration(organization_id)
    return begun


async def show(conn: AsyncConnection, target: Provider) -> None:
    """Where they are, whether it is paused, and what went wrong."""
    cohort = await cohorts.look(conn, target)
    told = table("state", "customers", "meaning")
    for state, number in (await cohorts.counts(conn, target)).items():
        told.add_row(state.value, str(number), IN_WORDS[state])
    if told.row_count:
        output.print(told)
    for organization_id, state, reason in await cohorts.troubles(conn, target, limit=20):
        output.print(
            one_line(f"{organization_id} {state.value}: {reason}"), markup=False, highlight=False
        )
    rate = f"{cohort.errors} of {cohort.ended} that ended went wrong ({cohort.error_rate:.1f}%)"
    output.print(
        one_line(f"{rate}; {f'PAUSED: {cohort.paused}' if cohort.paused else 'not paused'}")
    )


def _run(what: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    with database_url(configured()) as url:
        return asyncio.run(_in_transaction(url, what))


async def _in_transaction(url: str, what: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = create_engine(url, pool_size=1, application_name="tollgate migrate-customers")
    try:
        async with engine.begin() as conn:
            return await what(conn)
    finally:
        await engine.dispose()
