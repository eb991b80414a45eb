"""Puts load on a running installation over HTTP: organizations, signed webhooks, and their results."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from bench.outcome import BenchFailed
from db.wallet import wallets
from domain.billing.subscription import Provider
from domain.money import Money
from domain.wallet.entries import debit
from domain.wallet.ledger import Debited
from runtime.schedules import SCHEDULES

T = TypeVar("T")
R = TypeVar("R")
PATIENCE = 600.0
STRIPE_ACTIONS = {"suspend": "pause", "pay": "resume"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An installation with its simulators. The clients carry their base URLs; `api` an operator's
    key.
    """

    api: httpx.AsyncClient
    paypal: httpx.AsyncClient
    stripe: httpx.AsyncClient
    twilio: httpx.AsyncClient
    engine: AsyncEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    organization_id: str
    subscription_id: str
    provider: Provider = Provider.PAYPAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A webhook delivery, signed and ready to post."""

    subject: Subject
    headers: dict[str, str]
    body: bytes


async def each(items: Iterable[T], act: Callable[[T], Awaitable[R]], *, at_once: int) -> list[R]:
    """Run `act` on every item, at most `at_once` at a time; results in order."""
    limit = asyncio.Semaphore(at_once)

    async def act_in_turn(item: T) -> R:
        async with limit:
            return await act(item)

    return list(await asyncio.gather(*(act_in_turn(item) for item in items)))


async def alone(client: Client) -> None:
    """Pause the worker's schedules, which would distort the measurement at the full hour. Waits
    until they exist.
    """
    deadline = time.monotonic() + PATIENCE
    for schedule in SCHEDULES:
        while True:
            try:
                await client.get_schedule_handle(schedule).pause(note="paused during a benchmark")
                break
            except RPCError as problem:
                if problem.status is not RPCStatusCode.NOT_FOUND or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)


async def onboard(
    target: Target,
    prefix: str,
    count: int,
    *,
    credit: str = "10.00",
    provider: Provider = Provider.PAYPAL,
) -> list[Subject]:
    """Organizations with a subaccount, `credit` dollars, an active subscription; waits until all
    are at rest.
    """
    accounts = (await target.twilio.post("/_sim/accounts", json={"count": count})).json()[
        "accounts"
    ]
    at = _at_stripe if provider is Provider.STRIPE else _at_paypal
    subjects = await at(target, prefix, count)

    async def create_organization(pair: tuple[Subject, dict[str, str]]) -> None:
        subject, account = pair
        path = f"/v1/organizations/{subject.organization_id}"
        body = {
            "id": subject.organization_id,
            "name": subject.organization_id,
            "currency": "USD",
            "twilio_account_sid": account["sid"],
            "sender": "+15550001111",
            "price_per_segment": "0.01",
        }
        await ok(target.api.post("/v1/organizations", json=body))
        linked = {"provider": subject.provider.value, "subscription_id": subject.subscription_id}
        await ok(target.api.post(f"{path}/subscription", json=linked))
        first = {"reference_id": "first", "amount": credit, "currency": "USD"}
        await ok(target.api.post(f"{path}/wallet/credits", json=first))

    await each(zip(subjects, accounts, strict=True), create_organization, at_once=8)
    await at_rest(target, subjects)
    return subjects


async def _at_paypal(target: Target, prefix: str, count: int) -> list[Subject]:
    body = {"count": count, "prefix": prefix, "custom_id": f"{prefix.lower()}-{{n}}"}
    created = (await ok(target.paypal.post("/_sim/subscriptions/bulk", json=body))).json()
    return [
        Subject(organization_id=f"{prefix.lower()}-{number}", subscription_id=made_one["id"])
        for number, made_one in enumerate(created["subscriptions"], start=1)
    ]


async def _at_stripe(target: Target, prefix: str, count: int) -> list[Subject]:
    async def subscribe(number: int) -> Subject:
        organization_id = f"{prefix.lower()}-{number}"
        body = {"organization_id": organization_id, "deliver": False}
        created = (await ok(target.stripe.post("/_sim/subscriptions", json=body))).json()
        return Subject(
            organization_id=organization_id,
            subscription_id=created["object"]["id"],
            provider=Provider.STRIPE,
        )

    return await each(range(1, count + 1), subscribe, at_once=8)


async def sign(target: Target, subjects: Sequence[Subject], action: str) -> list[Signed]:
    """Perform `action`, suspend or pay, on each subscription; returns the first delivery of each,
    not sent yet.
    """
    if subjects[0].provider is Provider.STRIPE:
        return await each(
            subjects, partial(_sign_at_stripe, target, STRIPE_ACTIONS[action]), at_once=8
        )
    body = {"ids": [subject.subscription_id for subject in subjects], "deliver": False}
    answer = (await ok(target.paypal.post(f"/_sim/subscriptions/bulk/{action}", json=body))).json()
    firsts = answer["event_ids"][:: len(answer["event_ids"]) // len(subjects)]

    async def sign_first(pair: tuple[Subject, str]) -> Signed:
        subject, event_id = pair
        return await _signed(target.paypal, subject, event_id)

    return await each(zip(subjects, firsts, strict=True), sign_first, at_once=8)


async def _sign_at_stripe(target: Target, action: str, subject: Subject) -> Signed:
    path = f"/_sim/subscriptions/{subject.subscription_id}/{action}"
    answer = (await ok(target.stripe.post(path, json={"deliver": False}))).json()
    return await _signed(target.stripe, subject, answer["events"][0]["id"])


async def _signed(provider: httpx.AsyncClient, subject: Subject, event_id: str) -> Signed:
    answer = (await ok(provider.post("/_sim/sign", json={"event_id": event_id}))).json()
    return Signed(
        subject=subject, headers=answer["headers"], body=base64.b64decode(answer["body_base64"])
    )


async def deliver(target: Target, signed: Signed) -> float:
    """Post a delivery; returns the seconds until its 200."""
    began = time.perf_counter()
    await ok(
        target.api.post(
            f"/webhooks/{signed.subject.provider}", content=signed.body, headers=signed.headers
        )
    )
    return time.perf_counter() - began


async def try_debit(target: Target, subject: Subject) -> bool:
    """Whether a debit would succeed now, read from the wallet itself, which costs little during the
    burst.
    """
    late = debit(f"late-{time.perf_counter_ns()}", Money(10_000, "USD"))
    async with target.engine.begin() as conn:
        [outcome] = await wallets.post(conn, subject.organization_id, [late])
    return isinstance(outcome, Debited)


async def at_rest(target: Target, subjects: Sequence[Subject]) -> None:
    """Wait until every standing is applied."""
    ids = [subject.organization_id for subject in subjects]
    behind = text(
        "SELECT count(*) FROM standings WHERE organization_id = ANY(:ids) AND applied_at IS NULL"
    )
    again = text(
        "SELECT count(*) FROM standings WHERE organization_id = ANY(:ids) AND applied_epoch < epoch"
    )
    deadline = time.monotonic() + PATIENCE
    waiting = [0]
    while time.monotonic() < deadline:
        async with target.engine.connect() as conn:
            waiting = [
                (await conn.execute(question, {"ids": ids})).scalar_one()
                for question in (behind, again)
            ]
        if not any(waiting):
            return
        await asyncio.sleep(0.5)  # rarely: the receipts have the time, and each query takes some
    raise BenchFailed(f"{max(waiting)} organizations were not at rest after {PATIENCE:.0f} seconds")


async def active_again(target: Target, subject: Subject) -> None:
    """Wait until a reactivation is applied."""
    question = text(
        "SELECT status = 'active' AND applied_epoch = epoch FROM standings WHERE "
        "organization_id = :organization_id"
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with target.engine.connect() as conn:
            if (
                await conn.execute(question, {"organization_id": subject.organization_id})
            ).scalar_one():
                return
        await asyncio.sleep(0.05)
    raise BenchFailed(
        f"{subject.organization_id} was not active again after {PATIENCE:.0f} seconds"
    )


async def finished_at(target: Target, subjects: Sequence[Subject]) -> list[float]:
    """When each organization's newest receipt was closed, as Unix time."""
    question = text(
        "SELECT DISTINCT ON (organization_id) extract(epoch FROM finished_at)::float8 FROM "
        "receipts "
        "WHERE organization_id = ANY(:ids) AND finished_at IS NOT NULL ORDER BY organization_id, "
        "epoch DESC"
    )
    async with target.engine.connect() as conn:
        rows = await conn.execute(
            question, {"ids": [subject.organization_id for subject in subjects]}
        )
        return [row[0] for row in rows]


async def ok(request: Awaitable[httpx.Response]) -> httpx.Response:
    """The response to a request. Raises `BenchFailed` unless it is a success."""
    answer = await request
    if not answer.is_success:
        raise BenchFailed(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} "
            f"{answer.text[:200]}"
        )
    return answer
