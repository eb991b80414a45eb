"""How this process has answered: the seconds of every request, by route and status, for
`/metrics`.
"""

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from starlette.types import Scope

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.3, 1.0, 3.0, 10.0)
"""Seconds; among them are the limits that are promised for webhooks and for debits."""
UNMATCHED = "none"


class Answers:
    """How this process has answered since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._seconds = Histogram(
            "tollgate_http_request_duration_seconds",
            "How long requests took to be answered, by this process.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Routes go by their templates; what matches none is one series, since anybody may ask for
        anything.
        """
        route = getattr(scope.get("route"), "path", None)
        method, path = (UNMATCHED, UNMATCHED) if route is None else (scope["method"], route)
        self._seconds.labels(method, path, status).observe(seconds)
