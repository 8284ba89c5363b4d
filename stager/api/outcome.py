"""Waiting for the outcome of a request, without holding a thread or a database connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stager.errors import DatabaseUnavailable, TooManyLongCalls
from stager.http.long_calls import LongCalls
from stager.records.database import AsyncDatabase
from stager.records.requests import get_request
from stager.records.tables import StagingRequestRow

# Seconds between two polls of the record: at first, and at most.
FIRST, LONGEST = 0.05, 0.5


class Outcomes:
    """Waits for the outcomes of requests.

    Parameters
    ----------
    long_calls
        Where each caller who waits is counted.
    """

    def __init__(self, records: AsyncDatabase, long_calls: LongCalls) -> None:
        self._records, self._long_calls = records, long_calls

    async def wait(self, row: StagingRequestRow, *, seconds: float) -> StagingRequestRow | None:
        """Return a request's record once it has ended, or as it is when the time is over.

        None where nobody waits: its user holds too many long calls already. No thread and no connection is held
        between two looks. A database that goes away meanwhile is waited for: the request is written down already.
        """
        if seconds <= 0:
            return row
        with suppress(TooManyLongCalls), self._long_calls.one_more(row.username):
            return await self._wait(row, seconds=seconds)
        return None

    async def _wait(self, row: StagingRequestRow, *, seconds: float) -> StagingRequestRow:
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        pause = FIRST
        while not row.status.is_final and (left := deadline - clock()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.3, LONGEST)
            try:
                row = await self._records.ask(get_request, row.id)
            except DatabaseUnavailable:
                continue
        return row
