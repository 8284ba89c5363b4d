"""Last step: what was transferred becomes the user's, read-only, and visible."""

from __future__ import annotations

from functools import partial

from prefect import task

from tasks.batch import Batch
from tasks.entry import Entry
from tasks.step import STEP, is_last_try


@task(name="set read-only", **STEP)
def set_read_only(batch: Batch) -> None:
    """Set owner and mode, flush everything once, then publish each item by one rename."""

    def seal(entry: Entry) -> None:
        batch.method.set_read_only(entry.item, entry.transferred)

    def publish(entry: Entry) -> None:
        entry.published = batch.method.publish(
            entry.item, entry.transferred, confirm=partial(batch.writer.confirm, entry)
        )

    last = is_last_try()
    batch.each("seal", seal, is_last_try=last)
    batch.flush()
    batch.each("publish", publish, is_last_try=last)
