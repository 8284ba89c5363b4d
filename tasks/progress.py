"""Progress of a run, shown in Prefect's pages and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from humanize import naturalsize
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from stager.runs.batch import Batch
from stager.runs.repeated import repeated
from tasks.shown import shown_if_possible

# Seconds between two updates.
PROGRESS_SECONDS = 1.0


@contextmanager
def progress_shown(batch: Batch) -> Iterator[None]:
    """Keep a progress artifact and the records up to date while the body runs.

    What is over before anybody could look has none. It is best effort: when
    Prefect or the database is away, the body goes on.
    """
    artifact_id: UUID | None = None

    def show() -> None:
        nonlocal artifact_id
        batch.note_progress()
        if artifact_id is None:
            artifact_id = cast("UUID", create_progress_artifact(percentage(batch), description=in_words(batch)))
        else:
            update_progress_artifact(artifact_id, percentage(batch), description=in_words(batch))

    with repeated(show, interval=PROGRESS_SECONDS, name="progress"):
        yield
    with shown_if_possible():
        if artifact_id is not None:
            show()


def percentage(batch: Batch) -> float:
    """Return how much of a batch is transferred, from 0 to 100, by bytes or else by files."""
    done, total = batch.bytes_done, batch.size_bytes
    if not total:
        done, total = batch.files_done, batch.file_count
    return min(100.0, round(100.0 * done / total, 1)) if total else 100.0


def in_words(batch: Batch) -> str:
    """Return how much of a batch is transferred, in words."""
    size = f"{naturalsize(batch.bytes_done)} of {naturalsize(batch.size_bytes)}"
    items = "1 item" if len(batch.entries) == 1 else f"{len(batch.entries)} items"
    return f"{size}, {batch.files_done} of {batch.file_count} files, {items}"
