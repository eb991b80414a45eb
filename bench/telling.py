"""Measures how soon an event is attempted after its fact, while other endpoints are dead, and how
long a page of a million events takes.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.outcome import BenchFailed, percentile
from bench.telling_worker import SECRETS
from db.audit.certify import examine
from db.events import listing
from db.events.listing import Filters
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from db.outbound import endpoints
from db.wallet import wallets
from domain.events.catalogue import EventType
from domain.money import Money
from domain.outbound.deliveries import SigningScheme
from domain.wallet.entries import credit
from providers.outbound.signatures import new_key

ENDPOINTS, DEAD = 1_000, 100
PER_SECOND, SECONDS = 200, 15
WRITERS = 8
"""Connections: on a machine that is too slow for the rate, facts wait for one."""
KEPT = 1_000_000
PAGES = 30
PATIENCE = 120.0
NOBODY = "http://127.0.0.1:1"
"""Nothing listens there."""
Say = Callable[[str], None]
_LATENCIES = text(
    """
    SELECT 1000 * extract(epoch FROM first.at - e.occurred_at)::float8
    FROM events e JOIN webhook_deliveries d ON d.event_id = e.id
    CROSS JOIN LATERAL (SELECT min(at) AS at FROM webhook_attempts a WHERE a.position = d.position) first
    WHERE e.sequence > :after AND d.endpoint_id = ANY(:well) AND first.at IS NOT NULL
    """
)
_LEFT = text(
    """
    SELECT (SELECT count(*) FROM events WHERE NOT fanned_out)
        + (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND endpoint_id = ANY(:well))
    """
)
_TOLD = text(
    """
    SELECT count(*) FROM events WHERE type = 'wallet.credited' AND organization_id = ANY(:organizations)
    """
)
_FILL = text(
    """
    INSERT INTO events (type, organization_id, data, fanned_out)
    SELECT :type, 'org-' || (number % 1000), jsonb_build_object('epoch', number), true
    FROM generate_series(1, :count) AS number
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    attempt_p50_ms: float
    attempt_p99_ms: float
    with_dead_p99_ms: float
    page_p99_ms: float
    events: int
    lost: int
    out_of_order: int
    certified: bool

    @property
    def with_dead_p99_ratio(self) -> float:
        return self.with_dead_p99_ms / self.attempt_p99_ms

    @property
    def holds(self) -> bool:
        return self.certified and self.lost == 0 and self.out_of_order == 0

    def as_json(self) -> dict[str, Any]:
        return {
            "attempt_p50_ms": round(self.attempt_p50_ms, 1),
            "attempt_p99_ms": round(self.attempt_p99_ms, 1),
            "with_dead_p99_ms": round(self.with_dead_p99_ms, 1),
            "with_dead_p99_ratio": round(self.with_dead_p99_ratio, 2),
            "page_p99_ms": round(self.page_p99_ms, 1),
            "events": self.events,
            "lost": self.lost,
            "out_of_order": self.out_of_order,
            "certify": self.certified,
        }


@dataclass(slots=True)
class Installation:
    """Endpoint `n` wants the events of organization `n`; the last ones are those that die."""

    engine: AsyncEngine
    receiver: httpx.AsyncClient
    organization_ids: list[str] = field(default_factory=list)
    endpoint_ids: list[str] = field(default_factory=list)
    credits: int = 0
    writing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))

    @property
    def well(self) -> Sequence[str]:
        return self.endpoint_ids[: ENDPOINTS - DEAD]


async def run(engine: AsyncEngine, receiver: httpx.AsyncClient, say: Say) -> Report:
    """A worker must be delivering. Raises BenchFailed if it does not come to an end."""
    installation = Installation(engine, receiver)
    say(f"making {ENDPOINTS:,} organizations with an endpoint each")
    await _open(installation)
    await _tell(installation, seconds=3)  # what a fresh process loads and plans
    say(f"{PER_SECOND} events a second, all endpoints well")
    without = await _tell(installation, seconds=SECONDS)
    say(f"the same, while {DEAD} of {ENDPOINTS:,} endpoints are dead or hang")
    await _kill(installation)
    with_dead = await _tell(installation, seconds=SECONDS)
    lost, out_of_order, events = await _compare(installation)
    certified = all(finding.holds for finding in await examine(engine))
    say(f"{KEPT:,} events")
    return Report(
        attempt_p50_ms=percentile(without, 50),
        attempt_p99_ms=percentile(without, 99),
        with_dead_p99_ms=percentile(with_dead, 99),
        page_p99_ms=await _pages(engine),
        events=events,
        lost=lost,
        out_of_order=out_of_order,
        certified=certified,
    )


async def _open(installation: Installation) -> None:
    for number in range(ENDPOINTS):
        id_, endpoint_id = f"org-{number}", endpoints.new_id()
        key = new_key(SigningScheme.HMAC.value)
        async with installation.engine.begin() as conn:
            await organizations.create(conn, _organization(id_, number))
            await endpoints.create(
                conn,
                endpoint_id,
                url=f"{installation.receiver.base_url}e/{number}",
                description="",
                types=[],
                organization_ids=[id_],
            )
            await endpoints.add_secret(
                conn,
                endpoint_id,
                scheme=SigningScheme.HMAC,
                encrypted=SECRETS.encrypted(key.raw, endpoint_id),
                public_key=None,
                overlap_until=None,
            )
        installation.organization_ids.append(id_)
        installation.endpoint_ids.append(endpoint_id)


def _organization(id_: str, number: int) -> Organization:
    return Organization(
        id=id_,
        name=id_,
        twilio_account_sid=f"AC{number:032x}",
        sender="+15550001000",
        currency="USD",
        price_per_segment=Money(10_000, "USD"),
        grace=timedelta(days=3),
    )


async def _kill(installation: Installation) -> None:
    """Half of them refuse connections, the others accept and never answer."""
    dead = installation.endpoint_ids[ENDPOINTS - DEAD :]
    async with installation.engine.begin() as conn:
        for endpoint_id in dead[::2]:
            await endpoints.change(conn, endpoint_id, {"url": NOBODY})
    for number in range(ENDPOINTS - DEAD + 1, ENDPOINTS, 2):
        behaviour = {"path": f"/e/{number}", "delay": 3_600}
        await installation.receiver.post("/_sim/behaviours", json=behaviour)


async def _tell(installation: Installation, *, seconds: int) -> list[float]:
    """Milliseconds from each fact to its first attempt, of the endpoints that stay well."""
    async with installation.engine.begin() as conn:
        newest = text("SELECT coalesce(max(sequence), 0) FROM events")
        after = (await conn.execute(newest)).scalar_one()
    began = time.perf_counter()
    tasks = []
    for number in range(PER_SECOND * seconds):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
        tasks.append(asyncio.create_task(_credit(installation)))
    await asyncio.gather(*tasks)
    await _until_told(installation)
    async with installation.engine.begin() as conn:
        rows = await conn.execute(_LATENCIES, {"after": after, "well": list(installation.well)})
        return [float(value) for value in rows.scalars()]


async def _credit(installation: Installation) -> None:
    installation.credits += 1
    reference = f"credit-{installation.credits}"
    organization_id = random.choice(installation.organization_ids)  # noqa: S311 - no secret
    async with installation.writing, installation.engine.begin() as conn:
        await wallets.post(conn, organization_id, [credit(reference, Money(1_000_000, "USD"))])


async def _until_told(installation: Installation) -> None:
    gives_up = time.perf_counter() + PATIENCE
    while time.perf_counter() < gives_up:
        async with installation.engine.begin() as conn:
            left = await conn.execute(_LEFT, {"well": list(installation.well)})
            if left.scalar_one() == 0:
                return
        await asyncio.sleep(0.5)
    raise BenchFailed(f"events were not delivered within {PATIENCE:.0f} s")


async def _compare(installation: Installation) -> tuple[int, int, int]:
    """Of the endpoints that are well: how many events never arrived, how many arrived before an
    earlier one of their organization, and how many there were.
    """
    answer = await installation.receiver.get("/_sim/received", timeout=60)
    newest: dict[str, int] = {}
    arrived: set[str] = set()
    out_of_order = 0
    well = set(installation.organization_ids[: ENDPOINTS - DEAD])
    for received in answer.json()["received"]:
        of = received["organization_id"]
        if of not in well or received["id"] in arrived:
            continue
        arrived.add(received["id"])
        out_of_order += received["data"]["seq"] < newest.get(of, 0)
        newest[of] = received["data"]["seq"]
    async with installation.engine.begin() as conn:
        facts = (await conn.execute(_TOLD, {"organizations": list(well)})).scalar_one()
    return facts - len(arrived), out_of_order, facts


async def _pages(engine: AsyncEngine) -> float:
    """Milliseconds for a page of 100 events."""
    async with engine.begin() as conn:
        await conn.execute(text("SET LOCAL statement_timeout = 0"))
        await conn.execute(_FILL, {"type": EventType.ORGANIZATION_REACTIVATED.value, "count": KEPT})
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("ANALYZE events"))
    took = []
    filters = (
        Filters(),
        Filters(type=EventType.ORGANIZATION_REACTIVATED.value),
        Filters(type=EventType.WALLET_CREDITED.value),
        Filters(organization_id="org-7"),
    )
    for number in range(PAGES):
        for each in filters:
            began = time.perf_counter()
            async with engine.connect() as conn:
                await listing.page(conn, each, before=KEPT // PAGES * (number + 1), limit=101)
            took.append((time.perf_counter() - began) * 1000)
    return percentile(took, 99)
