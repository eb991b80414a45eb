"""No statement that runs often reads a growing table from end to end, among 100,000 organizations.

PostgreSQL is asked how it executes what the code really sent, for whatever parameters come next.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from bench import many_organizations
from bench.scale_calls import Calls
from db.audit import certify, comparisons, explanations, figures, new_rows, reconciliations
from db.audit.catalogue_checks import CATALOGUE_CHECKS
from db.campaigns import messages, parked_campaigns, prices, refusals, runs, status_checks
from db.carrier import message_readings, readings, tripwires
from db.inbox import adoption, listed_events
from db.lifecycle import deadlines, read_backs, standing_counts, unnotified
from db.switching import switches
from db.wallet import holds, seals, wallets
from devservers.postgres import Postgres
from domain.billing.subscription import Provider, State
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import DeliveryStatus
from domain.wallet.entries import credit, debit
from runtime import database
from tests.builders import (
    NOON,
    apply,
    block,
    callback,
    campaign,
    confirm,
    event,
    give_back,
    hear,
    minutes,
    onboard,
    post,
    rows,
    send,
    sid_of,
    snapshot,
    subscribe,
    take_steps,
    unblock,
    usd,
)
from tests.conftest import fresh_database
from tests.integration.conftest import Tollgate
from tests.plans import Recorded, explained, recorded
from tests.restores import BROKEN_CONNECTIONS

BIGGEST = many_organizations.BIGGEST
ORGANIZATIONS = 100_000
SMALL = {
    "listings", "migration_cohorts", "rates", "api_keys", "standing_counts", "checkpoints", "fences",
    "database_marks", "operator_acts", "bulk_acts", "unmatched_messages", "reconciliations", "repeated_deliveries",
    "parent_funds", "segment_counts", "network_prices", "company_accounts", "webhook_endpoints",
    "event_log_start", "notification_routes", "webhook_secrets",
}  # fmt: skip
"""Tables with a row for each provider, country, network, key, endpoint, route, subject, account that no organization
has or, added up, status or direction; or to which only people add; or of which only the newest rows are read, or which
each comparison empties.
"""
ONE_EACH = {
    "organizations", "standings", "wallets", "blocks", "subscriptions", "carrier_readings", "message_readings",
    "reserves",
}  # fmt: skip
"""Tables with about a row for each organization, which do not grow with what happens."""
NARROWED = ("", "status=suspended&", "block=nonpayment&", "stuck=true&")
NOW = datetime.now(UTC)
COLLECT_CONNECTIONS, IGNORE_OPEN_CONNECTIONS = BROKEN_CONNECTIONS


@pytest_asyncio.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[str]:
    with fresh_database(postgres, "test_query_plans") as url:
        engine = database.create_engine(url, pool_size=1)
        await many_organizations.fill(engine, ORGANIZATIONS)
        await engine.dispose()
        yield url


@pytest.fixture
def database_url(filled: str) -> str:
    return filled


def scans(found: Recorded) -> list[str]:
    assert found.scanned, "nothing was executed"
    return [
        f"{', '.join(sorted(tables - SMALL))} by: {statement}"
        for statement, tables in found.scanned.items()
        if tables - SMALL
    ]


async def test_what_runs_every_few_seconds(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        started = await seals.seal(conn)
    async with recorded(engine) as found, engine.begin() as conn:
        for everything in (False, True):
            await unnotified.organizations(conn, now=NOW, limit=200, everything=everything)
        await unnotified.notify_soon(conn, ["org-1"], now=NOW)
        await unnotified.owing(conn, limit=100)
        await runs.mark_silent(conn, before=NOW, limit=200)
        await runs.watch(conn, now=NOW)
        await refusals.forget(conn, now=NOW)
        await holds.due(conn, now=NOW, limit=100)
        await parked_campaigns.may_go_on(conn, now=NOW, limit=100)
        await status_checks.take(conn, now=NOW)
        await status_checks.take(conn, now=NOW + timedelta(hours=2))
        await adoption.adopt(conn, now=NOW)
        await readings.take(conn, now=NOW, limit=100)
        await tripwires.pending(conn, limit=100)
        await read_backs.take(conn, now=NOW, limit=100)
        await tripwires.due(conn, after="org-5", now=NOW, limit=100)
        await message_readings.due(conn, after="org-5", organizations=9, now=NOW, limit=100)
        await seals.seal(conn, replace(started.found, waiting=("org-1", "org-2")))
        await standing_counts.add_up(conn)
        await deadlines.warn(conn, now=NOW)

    assert not scans(found), "\n".join(scans(found))


async def test_what_sweeps_is_not_planned_anew_by_each_call(engine: AsyncEngine) -> None:
    sweeps = Calls(ORGANIZATIONS).by_name()["sweeps"]
    prepared = text("SELECT statement FROM pg_prepared_statements WHERE custom_plans > 10")

    async with engine.connect() as conn:
        for _ in range(20):
            await sweeps(conn)
            await conn.commit()
        planned_anew = (await conn.execute(prepared)).scalars().all()

    assert planned_anew == []


async def test_what_reconciles(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await switches.open_ones(conn, limit=1000)
        await messages.unsettled_organizations(conn, before=NOW, after="org-5", limit=12)
        await prices.unpriced(
            conn,
            after="org-5",
            since=NOW - timedelta(days=3),
            before=NOW,
            now=NOW,
            limit=12,
        )
        await prices.note_listed(conn, "org-5", NOW.date(), None, now=NOW)
        await prices.forget_listed(conn, before=NOW.date())
        await comparisons.of_accounts(conn, ["AC1", "AC2"])
        await comparisons.with_open_topups(conn, now=NOW, limit=1000)
        await comparisons.clear_ended(conn)
        await reconciliations.watch(conn, now=NOW)
        for provider in Provider:
            await comparisons.of_ids(conn, provider, ["I-1", "I-2"])
            await comparisons.current(conn, provider, after="org-5", limit=20)
            await comparisons.open_checkouts(
                conn, provider, since=NOW, after=("org-5", "I-5"), limit=20
            )
            await listed_events.listed_until(conn, provider)
            await listed_events.out_of_order(conn, provider, NOW - timedelta(minutes=15), NOW)
            await listed_events.advance(
                conn, provider, missed=0, out_of_order=0, before=None, until=NOW
            )

    assert not scans(found), "\n".join(scans(found))


async def test_what_certifies_what_is_new(engine: AsyncEngine) -> None:
    since = {"link": ORGANIZATIONS - 1000, "since": NOW - timedelta(minutes=15)}
    scanned: dict[str, set[str]] = {}
    async with certify.snapshot(engine, read_only=False) as conn:
        await conn.execute(text("SET LOCAL enable_seqscan = off"))  # some tables are small here
        for name, query in new_rows.TABLES.items():
            scanned[name] = await explained(conn, query, since)
            made = text(f"CREATE TEMPORARY TABLE new_{name} ON COMMIT DROP AS {query}")
            await conn.execute(made, since)
            await conn.execute(text(f"ANALYZE new_{name}"))
        await conn.execute(text("SET LOCAL enable_seqscan = on"))
        for check in certify.CHECKS:
            if check not in CATALOGUE_CHECKS:
                query = check.on_new_rows.replace(":", r"\:")
                scanned[check.claim] = await explained(conn, query, {})

    growing = {
        what: {table for table in tables - ONE_EACH - SMALL if not table.startswith("new_")}
        for what, tables in scanned.items()
    }
    assert {what: tables for what, tables in growing.items() if tables} == {}


async def test_a_scrape(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await figures.read(conn, now=NOW)

    assert not scans(found), "\n".join(scans(found))


async def test_what_explains_an_organization(engine: AsyncEngine) -> None:
    async with recorded(engine) as found, engine.begin() as conn:
        await explanations.explain(conn, BIGGEST)
        await explanations.why_not(conn, BIGGEST)

    assert not scans(found), "\n".join(scans(found))


async def test_the_way_of_a_webhook_to_the_end_of_its_suspension(engine: AsyncEngine) -> None:
    await onboard(engine, "lapsing")
    async with recorded(engine) as found:
        await subscribe(engine, "I-LAPSING", organization_id="lapsing")
        await hear(engine, event(subscription_id="I-LAPSING"))
        await confirm(
            engine, snapshot(State.SUSPENDED_NONPAYMENT, NOON + minutes(2)), id_="I-LAPSING"
        )
        await take_steps(engine, "lapsing")

    assert not scans(found), "\n".join(scans(found))


async def test_the_way_of_a_campaign_and_of_money(engine: AsyncEngine) -> None:
    await onboard(engine, "acme")
    async with recorded(engine) as found:
        await post(engine, credit("c", usd("1")))
        await post(engine, debit("d", usd("1")), debit("e", usd("1")))
        async with engine.begin() as conn:
            await wallets.post_alone(conn, "acme", debit("f", usd("1")))
        sale = await campaign(engine)
        sent = await send(engine, sale, limit=2)
        for status in (DeliveryStatus.SENT, DeliveryStatus.DELIVERED):
            await apply(engine, callback(sent[0], status))
        await give_back(engine, sent[1])
        async with engine.begin() as conn:
            for lookup in (MessageStatus.SENDING, MessageStatus.UNKNOWN):
                await messages.in_status(conn, "acme", lookup, sending_before=NOW)
            await messages.named_by(conn, "acme", [sid_of(sent[0])])
        await block(engine, "acme")
        await take_steps(engine, "acme")
        await unblock(engine, "acme")
        await take_steps(engine, "acme")

    assert not scans(found), "\n".join(scans(found))


@COLLECT_CONNECTIONS  # the application's connections are replaced while it uses them
@IGNORE_OPEN_CONNECTIONS
async def test_every_get_of_the_api(tollgate: Tollgate) -> None:
    [(sale,)] = await rows(
        tollgate.services.engine, f"SELECT id FROM campaigns WHERE organization_id = '{BIGGEST}'"
    )
    ids = {
        "organization_id": BIGGEST,
        "campaign_id": sale,
        "reference_id": "hold",
        "reference": "x",
    }
    ids |= {
        "checkout_id": "O-2",
        "provider": "paypal",
        "kind": "admin",
        "country": "US",
        "key_id": "x",
    }
    paths = {
        path: re.sub(r"{(\w+)}", lambda name: str(ids.get(name[1], sale)), path)
        for path, methods in create_app().openapi()["paths"].items()
        if "get" in methods and path.startswith(("/v1", "/metrics"))
    }
    narrowed = [
        f"/v1/organizations?{filters}"
        for filters in (
            *("status=suspended", "block=nonpayment", "stuck=true", "q=org-7777", "q=I-7777"),
            *(f"{which}sort={sort}" for which in NARROWED for sort in ("since", "-since", "owed")),
        )
    ]
    since = (NOW - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    narrowed += [
        f"/v1/events?{filters}"
        for filters in (
            "type=campaign.started",
            "organization_id=org-7777",
            f"since={since}",
            f"type=campaign.started&organization_id=org-7777&since={since}",
        )
    ]
    async with recorded(tollgate.services.engine) as found:
        answers = {
            path: (await tollgate.get(path)).status_code for path in [*paths.values(), *narrowed]
        }

    assert {answer for answer in answers.values() if answer >= 500} == set(), answers
    assert sum(answer == 200 for answer in answers.values()) > 20, answers
    assert not scans(found), "\n".join(scans(found))
