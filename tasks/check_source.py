"""First step: each source must exist, be readable, and be a file or a directory."""

from __future__ import annotations

from prefect import task

from stager.runs.batch import Batch
from stager.runs.following import Following
from tasks.step import STEP, retry_delay


@task(name="check source", **STEP)
def check_source(batch: Batch) -> None:
    """Survey every source, and record how much there is to do."""
    batch.each("check source", Following, retry_in=retry_delay())
