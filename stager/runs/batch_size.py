"""How many items of one request are staged together: more where they are small."""

from __future__ import annotations

import resource

from stager.paths import MOST_KEPT
from stager.runs.batch import Batch

# Items of a batch whose sizes are not known yet, or that may take long: none of them is published before all are there.
BATCH_SIZE = 256
# Items of a batch of small ones, which share the cost of a task run and of a transaction; and what is small on average.
LARGE_BATCH_SIZE = 1024
SMALL_ITEM_BYTES, SMALL_ITEM_FILES = 1 << 20, 4
# File descriptors that a mover holds for each item until it is published, and that it has besides.
DESCRIPTORS_OF_AN_ITEM, OTHER_DESCRIPTORS = 2, 128 + MOST_KEPT


def batch_size_after(batch: Batch) -> int:
    """Return how many items come next, by what those of the last batch were, delivered or not."""
    seen = [entry.survey for entry in batch.entries if entry.survey]
    are_small = (
        bool(seen)
        and sum(survey.size_bytes for survey in seen) <= SMALL_ITEM_BYTES * len(seen)
        and sum(survey.file_count for survey in seen) <= SMALL_ITEM_FILES * len(seen)
    )
    # What is lent takes descriptors of this process, too, which has others to do with them.
    is_lent = any(entry.item.read_as == "service" for entry in batch.entries)
    return max(BATCH_SIZE, min(LARGE_BATCH_SIZE, _most_items())) if are_small and not is_lent else BATCH_SIZE


def _most_items() -> int:
    """Return for how many items a mover may have descriptors, getrlimit(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LARGE_BATCH_SIZE if most == resource.RLIM_INFINITY else (most - OTHER_DESCRIPTORS) // DESCRIPTORS_OF_AN_ITEM
