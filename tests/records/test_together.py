"""Transactions of several callers in one: each gets its own answer, and fails alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pymysql
from sqlalchemy import exc, text
from sqlalchemy.orm import Session

from stager.errors import IdempotencyConflict
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.database.together import together
from stager.records.events import events_of
from stager.records.items import files_of
from stager.records.requests import create_request, get_request, list_requests
from stager.records.tables import StagingRequestRow


def wanted(name: str) -> StagingRequest:
    return StagingRequest(method="local_copy", username="alice", items=(StagingItem(source=name, destination=name),))


def test_requests_that_are_written_together_are_each_whole(database: Database) -> None:
    rows = together(database, [partial(create_request, request=wanted(str(number))) for number in range(50)])
    assert len({row.id for row in rows if isinstance(row, StagingRequestRow)}) == 50
    for row in rows:
        assert isinstance(row, StagingRequestRow)
        assert [file.relative_path for file in files_of(database, row.id)] == [get_path(database, row.id)]
        assert [event.kind for event in events_of(database, row.id)] == ["submitted"]


def get_path(database: Database, request_id: str) -> str:
    assert get_request(database, request_id).username == "alice"
    return files_of(database, request_id)[0].local_path_on_storage


def forget_everything(session: Session) -> None:
    session.execute(text("DELETE FROM event"))
    raise ZeroDivisionError


def test_one_that_fails_takes_no_other_with_it_and_leaves_nothing(database: Database) -> None:
    def fail(database: Database) -> None:
        database.write(forget_everything)

    calls: list[Callable[[Database], object]] = [
        *(partial(create_request, request=wanted(name), idempotency_key="key") for name in ("a", "a", "b")),
        fail,
        partial(create_request, request=wanted("c")),
    ]
    first, same, other, failed, last = together(database, calls)
    assert isinstance(first, StagingRequestRow)
    assert isinstance(same, StagingRequestRow)
    assert same.id == first.id
    assert isinstance(other, IdempotencyConflict)
    assert isinstance(last, StagingRequestRow)
    assert isinstance(failed, ZeroDivisionError)
    for row in (first, last):
        assert [event.kind for event in events_of(database, row.id)] == ["submitted"]


def test_a_transaction_that_a_deadlock_took_back_is_done_again_whole(database: Database) -> None:
    tries = []

    def meet_a_deadlock(database: Database) -> int:
        tries.append(database)
        if len(tries) > 1:
            return len(tries)
        gone = exc.OperationalError("ROLLBACK", {}, pymysql.err.OperationalError(1305, "SAVEPOINT does not exist"))
        gone.__context__ = exc.OperationalError("INSERT", {}, pymysql.err.OperationalError(1213, "Deadlock found"))
        raise gone

    first, second = (partial(create_request, request=wanted(name)) for name in "ab")
    calls: list[Callable[[Database], object]] = [first, meet_a_deadlock, second]
    assert together(database, calls)[1] == 2
    assert len(list_requests(database).requests) == 2
