"""Metrics of the process's calls, by the route's name and never by a path or a user."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from starlette.types import Scope

VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
CALLS = Histogram(
    "staging_http_seconds",
    "Duration of calls, by verb, route and status.",
    ["verb", "route", "status"],
    registry=REGISTRY,
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60),
)


def count_call(scope: Scope, *, status: int, seconds: float) -> None:
    """Count a call that was answered; status 0 means that it was not."""
    verb = scope["method"] if scope["method"] in VERBS else "other"
    route = getattr(scope.get("route"), "path", "none")
    CALLS.labels(verb, route, str(status)).observe(seconds)
