"""Metrics for Prometheus: the requests of this process, and the pending and failed work of the
whole installation.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api.context import Here
from api.http.auth import READ
from api.http.errors import ProblemOut
from db.audit import figures
from db.audit.figures import Figures
from db.inbox.listed_events import Compared
from db.outbound.backlog import Undelivered
from domain.billing.subscription import Provider
from domain.carrier.runway import Funds
from domain.money import MICROS

router = APIRouter(tags=["health"])
_PROBLEMS = {401: "API key missing or unknown", 503: "The database does not answer"}


_COUNTED = {
    "missed": "Events that a provider lists and never delivered; they were processed.",
    "duplicates": "Deliveries of an event that was already stored.",
    "out_of_order": "Events that arrived after a later event of the same organization.",
}


class _Installation:
    """The metrics that are the same in all processes."""

    def __init__(self, reading: Figures) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        reading = self._reading
        organizations = {status.value: number for status, number in reading.organizations.items()}
        waiting = {"unhandled": reading.backlog.unhandled, "parked": reading.backlog.parked}
        yield _by("organizations", "Organizations by their standing.", "status", organizations)
        yield _gauge(
            "standings_behind",
            "Standings that are decided but not applied everywhere yet.",
            reading.behind,
        )
        yield _gauge(
            "standings_behind_seconds",
            "The age of the oldest of them.",
            reading.behind_for.total_seconds(),
        )
        yield _gauge(
            "standings_stuck",
            "Those of them with a refused step, which need a person.",
            reading.stuck,
        )
        yield _by(
            "webhooks_waiting", "Webhook deliveries that are not handled yet.", "status", waiting
        )
        oldest = reading.backlog.oldest.total_seconds()
        yield _gauge("webhooks_waiting_seconds", "The age of the oldest unhandled one.", oldest)
        yield _gauge(
            "messages_unsettled",
            "Messages handed over more than a minute ago, unanswered.",
            reading.unsettled,
        )
        yield _by(
            "campaigns_waiting",
            "Campaigns that do not move, by what they wait for.",
            "reason",
            reading.waiting,
        )
        yield _by(
            "reconciliation_age_seconds",
            "How long ago the last complete pass over each subject began.",
            "subject",
            {subject.value: age.total_seconds() for subject, age in reading.reconciled.items()},
        )
        yield from _parents(reading.parents)
        yield _by("alerts", "Open alerts, by kind.", "kind", reading.alerts)
        yield _segments(reading.segments_differing)
        yield from _endpoints(reading.undelivered)
        yield from _compared(reading.compared)


def _compared(compared: Mapping[Provider, Compared]) -> Iterator[Metric]:
    for name, text in _COUNTED.items():
        counter = CounterMetricFamily(f"tollgate_events_{name}", text, labels=("provider",))
        for provider, comparison in compared.items():
            counter.add_metric((provider.value,), getattr(comparison.counts, name))
        yield counter
    until = {
        provider.value: comparison.until.timestamp() for provider, comparison in compared.items()
    }
    yield _by(
        "events_compared_until_seconds",
        "When the last comparison ended, as Unix time.",
        "provider",
        until,
    )


def _parents(parents: Sequence[Funds]) -> Iterator[Metric]:
    balances = GaugeMetricFamily(
        "tollgate_twilio_balance",
        "What a parent account has at Twilio, in its currency.",
        labels=("account", "currency"),
    )
    lasts = {}
    for funds in parents:
        amount = funds.balance.micros / MICROS
        balances.add_metric((funds.account_sid, funds.balance.currency), amount)
        if funds.lasts is not None:
            lasts[funds.account_sid] = funds.lasts / timedelta(days=1)
    yield balances
    text = "How long that lasts at the speed of the last week; none if nothing is spent."
    yield _by("twilio_balance_days", text, "account", lasts)


def _endpoints(undelivered: Undelivered) -> Iterator[Metric]:
    text = "Webhook endpoints that are enabled, failing, or disabled."
    yield _by("webhook_endpoints", text, "state", undelivered.endpoints)
    text = "The age of the oldest event that waits for an endpoint that is not disabled."
    yield _gauge("events_undelivered_seconds", text, undelivered.oldest.total_seconds())


def _segments(differing: Mapping[str, int]) -> Metric:
    counter = CounterMetricFamily(
        "tollgate_segments_differing",
        "Messages of which Twilio counted more, or fewer, segments than were paid for.",
        labels=("direction",),
    )
    for direction, messages in differing.items():
        counter.add_metric((direction,), messages)
    return counter


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tollgate_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"tollgate_{name}", text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


@router.get(
    "/metrics",
    dependencies=[READ],
    operation_id="get_metrics",
    summary="Get metrics for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}},
        **{
            status: {"model": ProblemOut, "description": description}
            for status, description in _PROBLEMS.items()
        },
    },
)
async def metrics(here: Here) -> Response:
    """`tollgate_http_…` and `process_…` describe the process that answers. All others describe the
    whole installation and are the same in every process.
    """
    async with here.snapshot() as conn:
        reading = await figures.read(conn, now=datetime.now(UTC))
    text = generate_latest(here.answers.registry) + generate_latest(_Installation(reading))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
