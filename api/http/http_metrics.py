"""The durations of this process's requests, by route and status, for `/metrics`."""

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from starlette.types import Scope

BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.3, 1.0, 3.0, 10.0)
"""Seconds; they include the promised limits of webhooks and debits."""
UNMATCHED = "none"


class Answers:
    """The durations of requests since the process started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._seconds = Histogram(
            "tollgate_http_request_duration_seconds",
            "Durations of this process's requests.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._series: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Routes are identified by their templates; all unknown paths are one series, since anybody
        may request any path.
        """
        route = getattr(scope.get("route"), "path", None)
        method, path = (UNMATCHED, UNMATCHED) if route is None else (scope["method"], route)
        key = (method, path, status)
        if key not in self._series:
            self._series[key] = self._seconds.labels(*key)
        self._series[key].observe(seconds)
