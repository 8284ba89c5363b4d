"""One look at the database serves all who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import insert

from stager.insight.live.feed import Feed
from stager.insight.live.watcher import MAX_UNREAD, Watcher
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database, now, open_records
from stager.records.insight import LiveEvent
from stager.records.requests import create_request, start_requests
from stager.records.tables import Event
from tests.records_database import give_records

REQUEST = StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a", destination="b"),))


def with_feed(database_url: str, work: Callable[[Database, Feed], Coroutine[Any, Any, None]]) -> None:
    """Do something with records of our own, and a feed that looks only when it is told to."""

    async def run() -> None:
        async with open_records(database_url) as records:
            await work(records.database, Feed(records))

    give_records(database_url)
    asyncio.run(run())


def add_event(database: Database, request_id: str, number: int, *, age: float) -> None:
    """Let an event with that number come to light that was written so many seconds ago."""
    database.write(
        lambda session: (
            session.execute(
                insert(Event).values(
                    id=number,
                    request_id=request_id,
                    at=now(session) - timedelta(seconds=age),
                    kind="note",
                    detail=f"{number}",
                )
            )
            and None
        )
    )


async def heard(watcher: Watcher) -> list[int]:
    numbers = []
    while news := await watcher.read(seconds=0.05):
        if isinstance(news, LiveEvent):
            numbers.append(news.event.id)
    return numbers


def test_a_hundred_watchers_cost_the_database_as_much_as_one(database_url: str) -> None:
    async def work(database: Database, feed: Feed) -> None:
        request_id = create_request(database, REQUEST).id
        start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
        statements: list[str] = []
        sqlalchemy_event.listen(database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
        costs = []
        for count in (1, 100):
            async with AsyncExitStack() as stack:
                watchers = [await stack.enter_async_context(feed.watch(request_id=request_id)) for _ in range(count)]
                statements.clear()
                await feed.look()
                costs.append(len(statements))
                assert all(await asyncio.gather(*(watcher.read(seconds=5) for watcher in watchers)))
        assert costs[0] == costs[1]

    with_feed(database_url, work)


def test_an_event_that_comes_to_light_late_is_told_in_its_place(database_url: str) -> None:
    async def work(database: Database, feed: Feed) -> None:
        request_id = create_request(database, REQUEST).id
        add_event(database, request_id, 10, age=60)
        async with feed.watch() as watcher:
            add_event(database, request_id, 12, age=-60)  # news, however long a look takes
            await feed.look()
            assert await heard(watcher) == []
            add_event(database, request_id, 11, age=-60)
            await feed.look()
            assert await heard(watcher) == [11, 12]

    with_feed(database_url, work)


def test_a_number_that_was_never_used_holds_nobody_up(database_url: str) -> None:
    async def work(database: Database, feed: Feed) -> None:
        request_id = create_request(database, REQUEST).id
        add_event(database, request_id, 10, age=60)
        async with feed.watch() as watcher:
            add_event(database, request_id, 12, age=60)
            await feed.look()
            assert await heard(watcher) == [12]

    with_feed(database_url, work)


def test_watchers_hear_of_what_is_theirs(database_url: str) -> None:
    async def work(database: Database, feed: Feed) -> None:
        first, second = (create_request(database, REQUEST).id for _ in range(2))
        add_event(database, first, 10, age=60)
        async with feed.watch(request_id=second) as one, feed.watch(username="bob") as bob, feed.watch() as everyone:
            add_event(database, first, 11, age=60)
            add_event(database, second, 12, age=60)
            await feed.look()
            assert [await heard(watcher) for watcher in (one, bob, everyone)] == [[12], [], [11, 12]]

    with_feed(database_url, work)


@pytest.mark.parametrize("unread", [MAX_UNREAD, MAX_UNREAD + 1000])
def test_a_watcher_who_does_not_read_keeps_no_more_than_so_much(database_url: str, unread: int) -> None:
    async def work(database: Database, _feed: Feed) -> None:
        row = create_request(database, REQUEST)
        watcher = Watcher(position=0)
        news = LiveEvent(
            event=Event(id=1, request_id=row.id, at=row.created_at, kind="x", detail="x", cause=None, until=None),
            username="alice",
        )
        for _ in range(unread):
            watcher.tell(news)
        assert watcher.is_behind
        assert len(await heard(watcher)) == MAX_UNREAD

    with_feed(database_url, work)
