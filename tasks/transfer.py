"""Third step: the bytes move, beside their destination and out of sight."""

from __future__ import annotations

from prefect import task

from stager.errors import SourceChanged
from tasks.batch import Batch
from tasks.entry import Entry
from tasks.progress import progress_shown
from tasks.step import STEP, is_last_try


@task(name="transfer", **STEP)
def transfer(batch: Batch) -> None:
    """Copy what is pending under temporary names, verified while the bytes pass."""
    with progress_shown(batch):
        batch.each("transfer", lambda entry: _bring(batch, entry), is_last_try=is_last_try())


def _bring(batch: Batch, entry: Entry) -> None:
    entry.survey = entry.survey or batch.method.check_source(entry.item)
    try:
        with batch.manifest(entry) as on_file:
            entry.staged = batch.method.transfer(
                entry.item,
                entry.survey,
                known=batch.known_checksums(entry),
                on_file=on_file,
                control=batch.control(entry),
            )
    except SourceChanged:
        entry.survey = None  # the next try takes the source as it is then
        raise
