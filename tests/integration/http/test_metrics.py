"""Metrics: a scrape shows pending work, failures and the durations of requests, but no customer's
name.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from db import alerts
from db.inbox import listed_events
from domain.alerts import AlertKind
from domain.billing.subscription import Provider
from tests.integration.conftest import Tollgate

REPEATED_TWICE = text("INSERT INTO repeated_deliveries VALUES ('stripe'), ('stripe')")
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "monitor.md"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(tollgate: Tollgate) -> Series:
    answer = await tollgate.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float | None:
    return series.get((f"tollgate_{name}", frozenset(labels.items())))


async def test_waiting_work_and_standing_alerts_are_exposed(tollgate: Tollgate) -> None:
    """No Temporal answers here, so a suspension stays unapplied and its webhook unhandled."""
    await tollgate.onboard("acme")
    await tollgate.onboard("globex")
    subscription_id = await tollgate.subscribe("acme")
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    await tollgate.deliver_event(event_id)
    async with tollgate.services.engine.begin() as conn:
        await alerts.raise_(conn, "acme", AlertKind.DIFFERS, "made up")
        await alerts.raise_(conn, "globex", AlertKind.DIFFERS, "made up")
        await alerts.raise_(conn, "globex", AlertKind.STUCK, "made up, and over")
        await alerts.clear(conn, "globex", AlertKind.STUCK)

    series = await scraped(tollgate)

    assert value(series, "organizations", status="suspended") == 1
    assert value(series, "organizations", status="active") == 1
    assert value(series, "standings_behind") == 1
    assert value(series, "standings_behind_seconds") != 0
    assert value(series, "standings_stuck") == 0
    assert value(series, "webhooks_waiting", status="unhandled") == 1
    assert value(series, "webhooks_waiting", status="parked") == 0
    assert value(series, "webhooks_waiting_seconds") != 0
    assert value(series, "messages_unsettled") == 0
    assert value(series, "alerts", kind="differs") == 2
    assert value(series, "alerts", kind="stuck") is None
    assert not [labels for _, labels in series if "acme" in str(labels)]


async def test_findings_of_comparisons_add_up_and_are_counted_once(tollgate: Tollgate) -> None:
    start = datetime(2026, 11, 26, 12, tzinfo=UTC)
    counted = []
    async with tollgate.services.engine.begin() as conn:
        # each once more, as in two concurrent comparisons
        for before, hours in (
            (None, 1),
            (None, 1),
            (1, 2),
            (1, 2),
        ):
            seen = None if before is None else start + timedelta(hours=before)
            await conn.execute(REPEATED_TWICE)
            counts = await listed_events.advance(
                conn,
                Provider.STRIPE,
                missed=1,
                out_of_order=3,
                before=seen,
                until=start + timedelta(hours=hours),
            )
            counted.append(counts.duplicates)

    series = await scraped(tollgate)

    assert counted == [2, 0, 4, 0]
    assert value(series, "events_missed_total", provider="stripe") == 2
    assert value(series, "events_duplicates_total", provider="stripe") == 6
    assert value(series, "events_out_of_order_total", provider="stripe") == 6
    assert (
        value(series, "events_compared_until_seconds", provider="stripe")
        == (start + timedelta(hours=2)).timestamp()
    )
    assert value(series, "events_missed_total", provider="paypal") is None


async def test_answers_are_counted_by_route_and_status(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.debit("1.00", "one")
    await tollgate.debit("100.00", "too much")
    await tollgate.http.post(f"{tollgate.url}/webhooks/paypal", content=b"{}")
    for path in ("/never/heard/of", "/nor/of/this"):
        await tollgate.get(path)

    series = await scraped(tollgate)

    def answered(method: str, route: str, status: int) -> float | None:
        labels = {"method": method, "route": route, "status": str(status)}
        return value(series, "http_request_duration_seconds_count", **labels)

    debits = "/v1/organizations/{organization_id}/wallet/debits"
    assert (answered("POST", debits, 201), answered("POST", debits, 402)) == (1, 1)
    assert answered("POST", "/v1/organizations", 201) == 1
    assert answered("POST", "/webhooks/paypal", 400) == 1
    assert answered("none", "none", 404) == 2


async def test_the_how_to_names_every_series(tollgate: Tollgate) -> None:
    """Except series that exist only after the first comparison, or while an alert is open."""
    families = text_string_to_metric_families((await tollgate.get("/metrics")).text)
    names = {
        family.name.removesuffix("_created")
        for family in families
        if family.name.startswith("tollgate_")
    }
    page = HOW_TO.read_text()

    assert len(names) >= 10
    assert not [name for name in names if f"`{name}" not in page]


async def test_a_scrape_needs_a_key(tollgate: Tollgate) -> None:
    assert (await tollgate.get("/metrics", scope=None)).status_code == 401
