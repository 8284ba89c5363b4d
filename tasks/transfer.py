"""Third step: the data are copied or linked to temporary names beside their destinations."""

from __future__ import annotations

from prefect import task

from stager.runs.batch import Batch
from stager.runs.following import Transferring
from tasks.progress import progress_shown
from tasks.step import STEP, retry_delay


@task(name="transfer", **STEP)
def transfer(batch: Batch) -> None:
    """Transfer pending items to temporary names, with their checksums taken while the bytes pass."""
    with progress_shown(batch):
        batch.each("transfer", lambda entry: Transferring(entry, batch.writer, batch.limited), retry_in=retry_delay())
