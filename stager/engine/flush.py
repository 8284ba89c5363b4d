"""The flush: what is staged is made durable before it gets its name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable

from stager.engine.kernel import syncfs
from stager.engine.mapping import writing
from stager.engine.source import READ
from stager.engine.staged import Staged
from stager.paths import Descriptor


def flush(staged: Iterable[Staged]) -> None:
    """Make what is staged durable: one file by fsync(2), more by one syncfs(2) for each file system.

    Raises
    ------
    StorageFault, NoSpace
        The disk did not take it.
    """
    systems: dict[int, list[Staged]] = defaultdict(list)
    for one in staged:
        systems[one.folder.inode[0]].append(one)
    for together in systems.values():
        first = together[0]
        with writing(first.destination):
            if len(together) == 1 and first.kind == "file" and not first.is_shared:
                with Descriptor(os.open(first.name, READ, dir_fd=first.parent.fd)) as content:
                    os.fsync(content.fd)
            else:
                syncfs(first.parent.fd)
