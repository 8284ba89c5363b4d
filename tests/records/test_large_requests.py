"""Requests of very many items that do not arrive whole."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from stager.errors import RequestNotFound
from stager.models import StagingItem, StagingTerms
from stager.records.database import Database, now
from stager.records.events import events_of
from stager.records.items import files_of
from stager.records.requests import (
    abandon_large_request,
    abandoned_large_requests,
    add_items,
    begin_large_request,
    get_request,
    submit_large_request,
)
from stager.records.runs import fair_shares
from stager.records.tables import StagedFile, StagingRequestRow

TERMS = StagingTerms(method="local_copy", username="alice")
ITEMS = [StagingItem(source=f"{n}", destination=f"{n}") for n in range(30)]


def arriving(database: Database) -> str:
    request_id = begin_large_request(database, TERMS, origin="api", idempotency_key="key")
    add_items(database, request_id, ITEMS[:20], start=0)
    return request_id


def test_no_run_takes_a_request_up_before_it_is_whole(database: Database) -> None:
    request_id = arriving(database)
    assert fair_shares(database, methods=["local_copy"], patience=0, most_runs=1) == []
    with pytest.raises(RequestNotFound):
        get_request(database, request_id)

    add_items(database, request_id, ITEMS[20:], start=20)
    row = submit_large_request(database, request_id, item_count=30, digest="digest")

    assert [share.username for share in fair_shares(database, methods=["local_copy"], patience=0, most_runs=1)] == [
        "alice"
    ]
    assert (row.item_count, len(files_of(database, request_id))) == (30, 30)
    assert [event.detail for event in events_of(database, request_id)] == ["30 items by local_copy for alice"]


def test_items_that_are_sent_twice_are_written_once(database: Database) -> None:
    request_id = arriving(database)
    add_items(database, request_id, ITEMS[:20], start=0)
    row = submit_large_request(database, request_id, item_count=20, digest="digest")
    assert submit_large_request(database, request_id, item_count=20, digest="digest").created_at == row.created_at
    assert len(files_of(database, request_id)) == 20


def test_one_that_has_stopped_arriving_is_found_and_removed(database: Database) -> None:
    request_id = arriving(database)
    assert abandoned_large_requests(database) == []
    row = StagingRequestRow
    long_ago = database.read(now) - timedelta(hours=1)
    database.write(lambda session: session.execute(update(row).values(alive_until=long_ago)) and None)
    assert abandoned_large_requests(database) == [request_id]

    abandon_large_request(database, request_id)

    assert database.read(lambda session: session.scalar(select(func.count()).select_from(StagedFile))) == 0
    with pytest.raises(RequestNotFound):
        add_items(database, request_id, ITEMS[20:], start=20)
    begin_large_request(database, TERMS, origin="api", idempotency_key="key")  # the key is free again


def test_one_that_is_whole_is_not_removed(database: Database) -> None:
    request_id = arriving(database)
    submit_large_request(database, request_id, item_count=20, digest="digest")
    abandon_large_request(database, request_id)
    assert len(files_of(database, request_id)) == 20
