"""The feed of all live streams: one poll of the database every half second, while anybody watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from stager.errors import ServiceUnavailable
from stager.insight.live.watcher import Watcher
from stager.models import Status
from stager.records.database import AsyncDatabase
from stager.records.insight import (
    LiveEvent,
    RequestProgress,
    progress_of,
    settled_events,
    settled_position,
    started_requests,
)

logger = structlog.get_logger(__name__)

# Seconds between two polls, and how many times longer than a poll the pause
# after it is at least: adding up a million items may take a second.
POLL_SECONDS, PAUSE_PER_POLL = 0.5, 5.0
# Events in one poll.
EVENTS_AT_ONCE = 1000


class Feed:
    """Polls the records for what is new, and tells the live streams."""

    def __init__(self, records: AsyncDatabase) -> None:
        self._records = records
        self._watchers: set[Watcher] = set()
        self._position = 0
        self._told: dict[str, RequestProgress] = {}
        self._is_watched = asyncio.Event()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def watch(self, *, request_id: str | None = None, username: str | None = None) -> AsyncIterator[Watcher]:
        """Yield a watcher of one request, of one user's requests or of all.

        It hears of every event behind its ``position``; what was before it,
        it must ask the records for.
        """
        async with self._lock:
            if not self._watchers:
                self._position = await self._records.ask(settled_position)
            watcher = Watcher(position=self._position, request_id=request_id, username=username)
            self._watchers.add(watcher)
            self._told.clear()  # who comes anew is told how far all are
            self._is_watched.set()
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._is_watched.clear()

    async def run(self) -> None:
        """Poll until cancelled. An error ends one poll; the next one is tried after a pause."""
        clock = asyncio.get_running_loop().time
        while True:
            await self._is_watched.wait()
            began = clock()
            try:
                await self.look()
            except ServiceUnavailable as error:
                logger.warning("Could not read what is new for live streams; will retry", reason=error.message)
            except Exception:
                logger.exception("An unforeseen error interrupted the reading for live streams; will retry")
            await asyncio.sleep(max(POLL_SECONDS, PAUSE_PER_POLL * (clock() - began)))

    async def look(self) -> None:
        """Poll once and tell the watchers what is new: the progress of requests, then their events."""
        async with self._lock:
            events = await self._records.ask(settled_events, self._position, limit=EVENTS_AT_ONCE)
            await self._tell_progress(events)
            for one in events:
                self._position = one.event.id
                for watcher in self._watchers:
                    watcher.tell(one)

    async def _tell_progress(self, events: list[LiveEvent]) -> None:
        ended = {one.event.request_id for one in events if one.event.kind in set(Status)}
        wanted = {watcher.request_id for watcher in self._watchers if watcher.request_id}
        for username in {watcher.username for watcher in self._watchers if watcher.request_id is None}:
            wanted |= ended | set(await self._records.ask(started_requests, username))
        for progress in await self._records.ask(progress_of, wanted) if wanted else ():
            if self._told.get(progress.request_id) != progress:
                self._told[progress.request_id] = progress
                for watcher in self._watchers:
                    watcher.tell(progress)
