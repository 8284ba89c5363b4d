"""Second step: what is at the destination already is not brought again."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache

from prefect import task

from stager.models import ManifestEntry
from tasks.batch import Batch
from tasks.entry import Entry
from tasks.step import STEP, is_last_try


@task(name="check duplicate", **STEP)
def check_duplicate(batch: Batch) -> None:
    """Take out the items whose destination is just what would be delivered."""

    def compare(entry: Entry) -> None:
        with ExitStack() as stack:
            # Most destinations are empty: then there is no manifest to begin.
            manifest = cache(lambda: stack.enter_context(batch.manifest(entry)))

            def on_file(file: ManifestEntry) -> None:
                manifest()(file)

            is_same = batch.method.check_duplicate(
                entry.item, entry.surveyed, on_file=on_file, control=batch.attention(entry)
            )
            if is_same:
                manifest()  # where nothing was read, what a run that died has written goes
        entry.is_duplicate = is_same  # its manifest is written by now

    batch.each("check duplicate", compare, is_last_try=is_last_try())
