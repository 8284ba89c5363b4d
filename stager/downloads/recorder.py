"""The recorder of downloads: those that begin or end while a transaction runs share the next one.

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

# Downloads that begin, and downloads that end; one may be in both lists.
Group = tuple[Sequence[DownloadBegun], Sequence[DownloadEnded]]

# Seconds between two tries while the database does not answer.
RETRY_SECONDS = 1.0
# Seconds between two rounds of recording progress and looking for cancelled downloads.
PROGRESS_SECONDS = 1.0
# After so many seconds a download counts as ended: an nginx that was killed never reports.
LONGEST_SECONDS = 24 * 3600.0


class UnderWay(Protocol):
    """A download that is being sent."""

    def progress(self) -> DownloadProgress:
        """Return the progress of the download."""
        ...

    def stop(self) -> None:
        """Stop the download, since it was cancelled; its ending must still be recorded."""
        ...


class DownloadRecorder:
    """Collects the beginnings and endings of downloads, and records them in groups.

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
        """Record that a download begins, and wait for that; it counts as alive until it ends.

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
        """Record soon how a download ended."""
        self._alive.pop(download.id, None)
        self._under_way.pop(download.id, None)
        self._ended.append(download)
        self._wake.set()

    def leave(self, expected: DownloadEnded) -> None:
        """Leave a recorded download to nginx, which will report how it ended."""
        self._elsewhere[expected.id] = expected

    def end_elsewhere(self, download_id: str, *, bytes_sent: int, error: StagingError | None) -> None:
        """Record soon how a download ended that was left to nginx."""
        expected = self._elsewhere.pop(download_id, None) or DownloadEnded(id=download_id, bytes_sent=0)
        self.end(replace(expected, bytes_sent=bytes_sent, error=error))

    async def write(self, begun: DownloadBegun, ended: DownloadEnded) -> None:
        """Record that a download began and ended, and wait for that.

        Raises
        ------
        DatabaseUnavailable
            It is not on record.
        """
        await self._groups.ask(([begun], [ended]))

    async def run(self) -> None:
        """Record how downloads ended until cancelled, and then what is left."""
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
        """Renew the heartbeat of downloads that are being sent, until cancelled."""
        while True:
            await asyncio.sleep(self._lease / 4)
            try:
                if alive := list(self._alive):
                    await self._records.ask(renew_requests, alive, seconds=self._lease)
            except ServiceUnavailable as error:  # tried again soon; what is sent is sent
                logger.warning("Could not renew the heartbeat of downloads; will retry", reason=error.message)

    async def look_after(self) -> None:
        """Record the progress of downloads and stop those that were cancelled, until cancelled itself.

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
        """Record what has ended, and return whether that worked; what was not recorded is kept for the next time."""
        ended = [*self._ended]
        try:
            if ended:
                await self._groups.ask(([], ended))
        except DatabaseUnavailable as error:
            logger.warning("Could not record downloads; will retry", reason=error.message)
            return False
        except Exception:
            logger.exception("An unforeseen error interrupted the recording of downloads")
            return False
        del self._ended[: len(ended)]
        return True

    async def _write(self, groups: Sequence[Group]) -> Sequence[None]:
        begun = [one for some, _ in groups for one in some]
        ended = [one for _, some in groups for one in some]
        await self._records.ask(write_downloads, begun, ended, seconds=self._lease)
        return [None] * len(groups)
