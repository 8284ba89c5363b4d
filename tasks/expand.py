"""Before the steps: an item that stands for many is replaced by these."""

from __future__ import annotations

from prefect import task

from stager.runs.expansion import Expansion
from tasks.step import STEP, retry_delay


@task(name="expand", **STEP)
def expand(expansion: Expansion) -> None:
    """List what the item stands for, and add it to the request."""
    expansion.go_on(retry_in=retry_delay())
