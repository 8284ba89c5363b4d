"""The records of downloads: what begins or ends while a transaction runs shares the next.

A download is on record before its first byte leaves; how it ended follows
within moments. If the service dies in between, the reconciler closes it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog
from cachetools import TTLCache

from stager.errors import DatabaseUnavailable, ServiceUnavailable, StagingError
from stager.records.database import AsyncDatabase, GroupCommit
from stager.records.downloads import (
    DownloadBegun,
    DownloadEnded,
    DownloadProgress,
    downloads_to_stop,
    note_sent,
    write_downloads,
)
from stager.records.requests import renew_requests

logger = structlog.get_logger(__name__)

# Downloads that begin, and those that end; one may be in both.
Group = tuple[Sequence[DownloadBegun], Sequence[DownloadEnded]]

# Seconds between two tries while the database is away.
RETRY_SECONDS = 1.0
# Seconds between two looks how far downloads are, and whether one is to stop.
PROGRESS_SECONDS = 1.0
# An nginx that was killed never says how a download ended; no download is taken to live longer, in seconds.
LONGEST_SECONDS = 24 * 3600.0


class UnderWay(Protocol):
    """A download that is being sent."""

    def progress(self) -> DownloadProgress:
        """Return how far it is."""
        ...

    def stop(self) -> None:
        """Have it end, because somebody asked to cancel it; it must still be written down how."""
        ...


class DownloadRecorder:
    """Takes what there is to write, and writes it.

    Parameters
    ----------
    lease
        How long a download is taken to live that nobody says of that it does, in seconds.
    """

    def __init__(self, records: AsyncDatabase, *, lease: float) -> None:
        self._records, self._lease = records, lease
        self._groups: GroupCommit[Group, None] = GroupCommit(self._write)
        self._ended: list[DownloadEnded] = []
        self._wake = asyncio.Event()
        self._alive: TTLCache[str, None] = TTLCache(math.inf, LONGEST_SECONDS)
        self._elsewhere: TTLCache[str, DownloadEnded] = TTLCache(math.inf, LONGEST_SECONDS)
        self._under_way: dict[str, UnderWay] = {}
        self._noted: dict[str, DownloadProgress] = {}

    async def begin(self, download: DownloadBegun, sending: UnderWay | None = None) -> None:
        """Return when it is on record that a download begins; it is taken to live until it ends.

        Parameters
        ----------
        sending
            Who sends it, if that is this service: to ask how far it is, and to tell to stop.

        Raises
        ------
        DatabaseUnavailable
            It is not on record: it must not begin.
        """
        await self._groups.ask(([download], []))
        self._alive[download.id] = None
        if sending:
            self._under_way[download.id] = sending

    def end(self, download: DownloadEnded) -> None:
        """Have it written down how a download ended, soon."""
        self._alive.pop(download.id, None)
        self._under_way.pop(download.id, None)
        self._ended.append(download)
        self._wake.set()

    def leave(self, expected: DownloadEnded) -> None:
        """Leave a download that is on record to somebody else, who will say how it ended."""
        self._elsewhere[expected.id] = expected

    def end_elsewhere(self, download_id: str, *, bytes_sent: int, error: StagingError | None) -> None:
        """Have it written down how a download ended that was left to somebody else."""
        expected = self._elsewhere.pop(download_id, None) or DownloadEnded(id=download_id, bytes_sent=0)
        self.end(replace(expected, bytes_sent=bytes_sent, error=error))

    async def write(self, begun: DownloadBegun, ended: DownloadEnded) -> None:
        """Return when it is on record that a download began and ended.

        Raises
        ------
        DatabaseUnavailable
            It is not on record.
        """
        await self._groups.ask(([begun], [ended]))

    async def run(self) -> None:
        """Write down how downloads ended until cancelled, and then what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not await self._write_ended():
                    self._wake.set()
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._write_ended()

    async def keep_alive(self) -> None:
        """Say of what is being sent that it lives, until cancelled."""
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                if alive := list(self._alive):
                    await self._records.ask(renew_requests, alive, seconds=self._lease)
            except ServiceUnavailable as error:  # tried again soon; what is sent is sent
                logger.warning("Could not record that downloads are under way; will retry", reason=error.message)

    async def look_after(self) -> None:
        """Note how far downloads are and stop those that somebody asked to cancel, until cancelled.

        Whichever service is asked, the one that sends a download stops it.
        """
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            with suppress(ServiceUnavailable):  # whoever says that downloads live tells of that
                await self._note_progress()
                asked = await self._records.ask(downloads_to_stop) if self._under_way else set()
                for download_id in asked & self._under_way.keys():
                    self._under_way.pop(download_id).stop()

    async def _note_progress(self) -> None:
        progress = {download_id: sending.progress() for download_id, sending in self._under_way.items()}
        if moved := [one for one in progress.values() if one != self._noted.get(one.id)]:
            await self._records.ask(note_sent, moved)
        self._noted = progress

    async def _write_ended(self) -> bool:
        """Write down what has ended, and tell whether it is; what is not is kept for the next time."""
        ended = [*self._ended]
        try:
            if ended:
                await self._groups.ask(([], ended))
        except DatabaseUnavailable as error:
            logger.warning("Could not record downloads; will retry", reason=error.message)
            return False
        except Exception:
            logger.exception("Recording downloads met an unforeseen error")
            return False
        del self._ended[: len(ended)]
        return True

    async def _write(self, groups: Sequence[Group]) -> Sequence[None]:
        begun = [one for some, _ in groups for one in some]
        ended = [one for _, some in groups for one in some]
        await self._records.ask(write_downloads, begun, ended, seconds=self._lease)
        return [None] * len(groups)
