"""Events and progress of requests as server-sent events.

Notes
-----
HTML Living Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from stager.http.record_views import EventView
from stager.insight.live.feed import Feed
from stager.insight.live.watcher import News, Watcher
from stager.models import Status
from stager.records.database import AsyncDatabase
from stager.records.insight import LiveEvent, missed_events

# Seconds without news after which a comment shows that the connection is alive.
KEEPALIVE_SECONDS = 15.0
# Seconds after which a stream ends; the client connects again, and so its token is checked again.
LONGEST_SECONDS = 900.0
EVENTS_AT_ONCE = 500
ENDINGS = frozenset(status.value for status in Status if status.is_final)


async def stream(
    records: AsyncDatabase, feed: Feed, *, request_id: str | None, username: str | None, after: int | None
) -> AsyncIterator[bytes]:
    """Yield server-sent events until the one watched request has ended, or the time is over.

    Parameters
    ----------
    after
        The last event that the caller knows; None begins now.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + LONGEST_SECONDS
    async with feed.watch(request_id=request_id, username=username) as watcher:
        yield KEEPALIVE_COMMENT  # the head goes out at once
        async for missed in _missed(records, watcher, after=watcher.position if after is None else after):
            yield _line(missed)
            if _is_end(missed, watcher):
                return
        while clock() < deadline and not watcher.is_behind:
            news = await watcher.read(seconds=KEEPALIVE_SECONDS)
            if news is None:
                yield KEEPALIVE_COMMENT
            elif not (isinstance(news, LiveEvent) and after is not None and news.event.id <= after):
                yield _line(news)
                if _is_end(news, watcher):
                    return


async def _missed(records: AsyncDatabase, watcher: Watcher, *, after: int) -> AsyncIterator[LiveEvent]:
    """Yield the events after the last one that the caller knows, up to those that the watcher receives."""
    whose = {"request_id": watcher.request_id, "username": watcher.username}
    while page := await records.ask(missed_events, after=after, upto=watcher.position, limit=EVENTS_AT_ONCE, **whose):
        after = page[-1].event.id
        for one in page:
            yield one


def _is_end(news: News, watcher: Watcher) -> bool:
    return isinstance(news, LiveEvent) and watcher.request_id is not None and news.event.kind in ENDINGS


def _line(news: News) -> bytes:
    if isinstance(news, LiveEvent):
        view = EventView.model_validate(news.event).model_dump(mode="json")
        data = {"request_id": news.event.request_id, "username": news.username, **view}
        return format_sse_event(event="change", id=str(news.event.id), data_str=json.dumps(data))
    return format_sse_event(event="progress", data_str=json.dumps(asdict(news)))
