"""The estimate of when a request may be done, by how long the last ones of its method took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import quantiles

from pydantic import Field

from stager.http.record_views import View
from stager.models import Status
from stager.records.insight import Remainder, Sample
from stager.records.tables import StagingRequestRow

# Fewer past requests say nothing of the next.
MIN_SAMPLES = 3
# An estimate never says more than a year: nobody plans beyond it, and dates end.
MAX_SECONDS = 365 * 86_400.0


class Estimate(View):
    """A range in time that eight of ten past requests would have fallen into."""

    earliest: datetime
    latest: datetime
    measured_on: int = Field(description="How many past requests of the method it is measured on.")
    measured_by: str = Field(description="bytes, or items where a size is not known yet.")


def estimate(
    row: StagingRequestRow, remainder: Remainder, past: Sequence[Sample], *, moment: datetime
) -> Estimate | None:
    """Return when a request may be done; None when too few were done before it.

    Parameters
    ----------
    remainder
        What is left of it.
    past
        The last requests of its method.
    moment
        Now.
    """
    by_bytes = remainder.size_bytes is not None and any(sample.bytes_done for sample in past)
    pace = [_seconds_each(sample, by_bytes=by_bytes) for sample in past if sample.bytes_done or not by_bytes]
    if len(pace) < MIN_SAMPLES or row.status.is_final:
        return None
    amount = (remainder.size_bytes or 0) if by_bytes else remainder.items
    waits = _range([sample.waited for sample in past])
    waited = (moment - row.created_at).total_seconds()
    ahead = [max(0.0, wait - waited) if row.status is Status.SUBMITTED else 0.0 for wait in waits]
    seconds = [wait + amount * each for wait, each in zip(ahead, _range(pace), strict=True)]
    earliest, latest = (moment + timedelta(seconds=min(second, MAX_SECONDS)) for second in seconds)
    by = "bytes" if by_bytes else "items"
    return Estimate(earliest=earliest, latest=latest, measured_on=len(pace), measured_by=by)


def _seconds_each(sample: Sample, *, by_bytes: bool) -> float:
    return sample.worked / (sample.bytes_done if by_bytes else max(1, sample.items))


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the tenth and the ninetieth percentile."""
    tenths = quantiles(values, n=10, method="inclusive")
    return tenths[0], tenths[-1]
