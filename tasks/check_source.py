"""First step: the source is there, can be read and is data."""

from __future__ import annotations

from prefect import task

from stager.runs.batch import Batch
from stager.runs.following import Following
from tasks.step import STEP, retry_delay


@task(name="check source", **STEP)
def check_source(batch: Batch) -> None:
    """Look at every source, and note how much there is to do."""
    batch.each("check source", Following, retry_in=retry_delay())
