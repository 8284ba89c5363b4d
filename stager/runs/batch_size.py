"""How many items of one request are staged together: more where they are small."""

from __future__ import annotations

import resource

from stager.runs.batch import Batch

# Items of a batch whose sizes are not known yet, or that may take long: none of them is published before all are there.
BATCH_SIZE = 256
# Items of a batch of small ones, which share the cost of a task run and of a transaction; and what is small, in bytes.
LARGE_BATCH_SIZE = 1024
SMALL_BYTES = 1 << 20
# File descriptors that a mover holds for each item until it is published, and that it has besides.
DESCRIPTORS_OF_AN_ITEM, OTHER_DESCRIPTORS = 2, 128


def batch_size_after(batch: Batch) -> int:
    """Return how many items come next, by what those of the last batch were."""
    if not batch.entries or batch.size_bytes > SMALL_BYTES * len(batch.entries):
        return BATCH_SIZE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    fits = LARGE_BATCH_SIZE if most == resource.RLIM_INFINITY else (most - OTHER_DESCRIPTORS) // DESCRIPTORS_OF_AN_ITEM
    return max(BATCH_SIZE, min(LARGE_BATCH_SIZE, fits))
