"""Last step: what was transferred is made read-only and gets its final name."""

from __future__ import annotations

from prefect import task

from stager.runs.batch import Batch
from stager.runs.following import Following
from tasks.step import STEP, retry_delay


@task(name="set read-only", **STEP)
def set_read_only(batch: Batch) -> None:
    """Set the modes, flush everything once, then publish each item by one rename."""
    retry_in = retry_delay()
    batch.each("set read-only", Following, retry_in=retry_in)
    batch.flush()
    batch.each("publish", Following, retry_in=retry_in)
