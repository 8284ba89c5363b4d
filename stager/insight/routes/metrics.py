"""The route of Prometheus' metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from stager.dispatch.reconciler import Reconciler
from stager.http.call_metrics import REGISTRY
from stager.http.dependencies import OpenRecords
from stager.http.problems import documented
from stager.insight.metrics.families import RecordedFamilies
from stager.insight.metrics.recorded import RecordedMetrics

EXAMPLE = """\
# HELP staging_queue_requests Requests that are submitted.
# TYPE staging_queue_requests gauge
staging_queue_requests{method="local_copy"} 3.0
"""
router = APIRouter(prefix="/metrics", tags=["site"])


@router.get(
    "",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"example": EXAMPLE}}, "description": "Prometheus' text format"},
        **documented(503),
    },
)
async def show_metrics(request: Request, records: OpenRecords) -> Response:
    """Return the records' figures, the same at every replica, and this replica's own calls."""
    figures: RecordedMetrics = request.app.state.figures
    reconciler: Reconciler | None = request.app.state.reconciler
    lag = reconciler.lag if reconciler else None
    registry = CollectorRegistry()
    registry.register(RecordedFamilies(await records.ask(figures.read), lag))
    return Response(generate_latest(registry) + generate_latest(REGISTRY), media_type=CONTENT_TYPE_PLAIN_0_0_4)
