"""Second step: items that are at their destinations already are skipped."""

from __future__ import annotations

from prefect import task

from stager.runs.batch import Batch
from stager.runs.following import Comparing
from tasks.step import STEP, retry_delay


@task(name="check duplicate", **STEP)
def check_duplicate(batch: Batch) -> None:
    """Skip the items whose destination is exactly what would be delivered."""
    batch.each("check duplicate", lambda entry: Comparing(entry, batch.writer), retry_in=retry_delay())
