"""The records' figures as Prometheus' metric families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stager.insight.metrics.recorded import METHOD_NAMES, RecordedFigures
from stager.insight.metrics.tally import Histogram
from stager.models import Status


@dataclass(frozen=True, eq=False)  # a registry keeps it by what it is
class RecordedFamilies(Collector):
    """Collects the records' figures for one answer."""

    figures: RecordedFigures
    # None where the reconciler runs in another process.
    reconciler_lag: float | None

    def collect(self) -> Iterator[Metric]:
        """Yield a metric family for each kind of figure."""
        tally = self.figures.tally
        yield self._endings()
        yield _histogram(
            "staging_request_seconds", "Time from the recording of a request to its end.", tally.seconds, "status"
        )
        yield _histogram("staging_request_bytes", "Bytes that a completed request delivered.", tally.bytes_done)
        yield _histogram("staging_request_files", "Files that a completed request delivered.", tally.files_done)
        yield from self._backlogs()
        yield from self._starting()
        if self.reconciler_lag is not None:
            words = (
                "How long ago the reconciler's check that is furthest behind succeeded, in this replica, in seconds."
            )
            yield GaugeMetricFamily("staging_reconciler_lag_seconds", words, value=self.reconciler_lag)

    def _endings(self) -> Metric:
        words = "Requests that ended, by method, hub of the notebook servers, status and kind of error."
        family = CounterMetricFamily("staging_requests", words, labels=["method", "hub", "status", "reason"])
        for labels, count in sorted(self.figures.tally.endings.items()):
            family.add_metric(labels, count)
        return family

    def _backlogs(self) -> Iterator[Metric]:
        known = {(backlog.method, backlog.status): backlog for backlog in self.figures.backlogs}
        for status, name in ((Status.SUBMITTED, "staging_queue"), (Status.STARTED, "staging_in_flight")):
            count = GaugeMetricFamily(f"{name}_requests", f"Requests that are {status}.", labels=["method"])
            words = f"How long the oldest request that is {status} has been on record, in seconds."
            age = GaugeMetricFamily(f"{name}_oldest_seconds", words, labels=["method"])
            for method in METHOD_NAMES:
                backlog = known.get((method, status))
                count.add_metric([method], backlog.count if backlog else 0)
                age.add_metric([method], backlog.oldest_seconds if backlog else 0)
            yield count
            yield age

    def _starting(self) -> Iterator[Metric]:
        words = "Requests that wait for a notebook server to be started."
        count = GaugeMetricFamily("staging_starting_requests", words, labels=["hub"])
        words = "How long the first of them has waited, in seconds."
        age = GaugeMetricFamily("staging_starting_oldest_seconds", words, labels=["hub"])
        known = {one.hub: one for one in self.figures.starting}
        for hub in sorted({hub for _, hub, *_ in self.figures.tally.endings if hub} | known.keys()):
            one = known.get(hub)
            count.add_metric([hub], one.count if one else 0)
            age.add_metric([hub], one.oldest_seconds if one else 0)
        yield count
        yield age


def _histogram(name: str, words: str, spreads: Mapping[tuple[str, ...], Histogram], *labels: str) -> Metric:
    family = HistogramMetricFamily(name, words, labels=["method", "hub", *labels])
    for values, spread in sorted(spreads.items()):
        family.add_metric(values, spread.buckets(), spread.total)
    return family
