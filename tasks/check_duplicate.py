"""Second step: what is at the destination already is not brought again."""

from __future__ import annotations

from prefect import task

from tasks.batch import Batch
from tasks.entry import Entry
from tasks.step import STEP, is_last_try


@task(name="check duplicate", **STEP)
def check_duplicate(batch: Batch) -> None:
    """Take out the items whose destination is just what would be delivered."""

    def compare(entry: Entry) -> None:
        entry.is_duplicate = batch.method.check_duplicate(entry.item, entry.surveyed, control=batch.attention(entry))

    batch.each("check duplicate", compare, is_last_try=is_last_try())
