"""A caller waits for an outcome without holding anything up."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stager.errors import DatabaseUnavailable, TooManyLongCalls
from stager.http.door import Door
from stager.records import StagingRequestRow, get_request

# Seconds between two looks at the record: the first and the longest.
FIRST, LONGEST = 0.05, 0.5


async def wait_for_outcome(door: Door, row: StagingRequestRow, *, seconds: float) -> StagingRequestRow | None:
    """Return a request's record when it has ended, or as it stands after some seconds.

    None where nobody waits: its user holds too many long calls already. No thread and no connection is held between
    two looks. A database that goes away meanwhile is waited for: the request is written down already.
    """
    if seconds <= 0:
        return row
    with suppress(TooManyLongCalls), door.long_calls.one_more(row.username):
        return await _wait(door, row, seconds=seconds)
    return None


async def _wait(door: Door, row: StagingRequestRow, *, seconds: float) -> StagingRequestRow:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    pause = FIRST
    while not row.status.is_final and (left := deadline - clock()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.3, LONGEST)
        try:
            row = await door.ask(get_request, row.id)
        except DatabaseUnavailable:
            continue
    return row
