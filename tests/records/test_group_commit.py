"""What comes at the same moment is written in one transaction: each gets its own answer, and fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stager.errors import DatabaseUnavailable, IdempotencyConflict
from stager.records.database import AsyncDatabase, Database, GroupCommit
from stager.records.requests import NewRequest, create_requests, list_requests
from stager.records.tables import StagingRequestRow
from tests.records.test_submissions import assert_whole, ids_of, impossible, wanted


class Group:
    """Writes requests down, and knows how many at a time."""

    def __init__(self, database: Database) -> None:
        self._threads = ThreadPoolExecutor(1)
        self._records = AsyncDatabase(database, self._threads)
        self.sizes: list[int] = []
        self.begun, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()
        self.commit: GroupCommit[NewRequest, StagingRequestRow] = GroupCommit(self._write)

    async def _write(self, requests: Sequence[NewRequest]) -> list[StagingRequestRow | Exception]:
        self.sizes.append(len(requests))
        self.begun.set()
        await self.goes_on.wait()
        return await self._records.ask(create_requests, requests)

    async def ask(self, *requests: NewRequest) -> list[StagingRequestRow | BaseException]:
        return await asyncio.gather(*map(self.commit.ask, requests), return_exceptions=True)

    def close(self) -> None:
        self._threads.shutdown()


@pytest.fixture
def group(database: Database) -> Iterator[Group]:
    made = Group(database)
    yield made
    made.close()


def test_what_comes_at_the_same_moment_is_written_at_once_each_whole(database: Database, group: Group) -> None:
    requests = [wanted(str(number)) for number in range(50)]
    rows = asyncio.run(group.ask(*requests))
    assert group.sizes == [50]
    assert ids_of(rows) == [one.row["id"] for one in requests]
    for number, request_id in enumerate(ids_of(rows)):
        assert_whole(database, request_id, str(number))


def test_what_comes_while_others_are_written_is_written_next(group: Group) -> None:
    async def ask() -> None:
        group.goes_on.clear()
        first = asyncio.create_task(group.commit.ask(wanted("first")))
        await group.begun.wait()
        others = asyncio.gather(*(group.commit.ask(wanted(str(number))) for number in range(9)))
        await asyncio.sleep(0)
        group.goes_on.set()
        await asyncio.gather(first, others)

    asyncio.run(ask())
    assert group.sizes == [1, 9]


def test_one_that_fails_takes_no_other_with_it_and_leaves_nothing(database: Database, group: Group) -> None:
    requests = [wanted("a", key="k"), impossible("b"), wanted("c"), wanted("a", key="k"), wanted("d", key="k")]
    first, failed, other, again, refused = asyncio.run(group.ask(*requests))
    assert isinstance(failed, Exception)
    assert isinstance(refused, IdempotencyConflict)
    assert ids_of([again]) == ids_of([first])
    assert {row.id for row in list_requests(database).requests} == {*ids_of([first, other])}
    for request_id, name in zip(ids_of([first, other]), "ac", strict=True):
        assert_whole(database, request_id, name)


def test_whoever_goes_away_takes_no_other_with_it_and_is_written_down(database: Database, group: Group) -> None:
    async def ask() -> list[StagingRequestRow | BaseException]:
        asked = [asyncio.create_task(group.commit.ask(wanted(name))) for name in "abc"]
        await group.begun.wait()
        asked[0].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    gone, *others = asyncio.run(ask())
    assert isinstance(gone, asyncio.CancelledError)
    assert len(ids_of(others)) == 2
    assert len(list_requests(database).requests) == 3


def test_while_the_database_is_away_all_are_told_at_once(tmp_path: Path) -> None:
    away = Database(f"sqlite:///{tmp_path}/none/records.db", patience=0)
    group = Group(away)
    told = asyncio.run(group.ask(wanted("a"), wanted("b")))
    group.close()
    assert [type(one) for one in told] == [DatabaseUnavailable] * 2
    assert group.sizes == [2]
