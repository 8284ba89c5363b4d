"""Requests that are written down in one transaction: each is whole, or refused without the others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import exc

from stager.errors import IdempotencyConflict, InvalidPath, RequestArriving, TooManyRequests
from stager.models import StagingItem, StagingRequest, StagingTerms
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import files_of
from stager.records.requests import (
    NewRequest,
    begin_large_request,
    create_requests,
    fail_request,
    list_requests,
    new_request,
)
from stager.records.tables import StagingRequestRow
from tests.records_database import give_records


def wanted(name: str, *, username: str = "alice", key: str | None = None) -> NewRequest:
    items = tuple(StagingItem(source=f"{name}/{n}", destination=f"{name}/{n}") for n in range(2))
    return new_request(StagingRequest(method="local_copy", username=username, items=items), idempotency_key=key)


def impossible(name: str) -> NewRequest:
    """Return a request that no database takes."""
    made = wanted(name)
    made.files[1]["expected_size_bytes"] = 2**70
    return made


def ids_of(outcomes: Sequence[object]) -> list[str]:
    return [one.id for one in outcomes if isinstance(one, StagingRequestRow)]


def assert_whole(database: Database, request_id: str, name: str) -> None:
    assert [file.relative_path for file in files_of(database, request_id)] == [f"{name}/0", f"{name}/1"]
    assert [event.kind for event in events_of(database, request_id)] == ["submitted"]


def test_each_of_many_is_whole_and_in_its_place(database: Database) -> None:
    requests = [wanted(str(number), username=f"user{number % 3}") for number in range(40)]
    ids = ids_of(create_requests(database, requests))
    assert ids == [one.row["id"] for one in requests]
    for number, request_id in enumerate(ids):
        assert_whole(database, request_id, str(number))


def test_of_one_key_the_first_counts_and_another_request_is_refused_alone(database: Database) -> None:
    before = ids_of(create_requests(database, [wanted("old", key="old")]))
    requests = [wanted("a", key="k"), wanted("b"), wanted("a", key="k"), wanted("c", key="k"), wanted("old", key="old")]
    first, other, again, conflict, known = create_requests(database, [*requests])
    assert isinstance(conflict, IdempotencyConflict)
    assert ids_of([again, known]) == [*ids_of([first]), *before]
    assert len(list_requests(database).requests) == 3
    for request_id, name in zip(ids_of([first, other]), "ab", strict=True):
        assert_whole(database, request_id, name)


def test_users_have_keys_of_their_own(database: Database) -> None:
    requests = [wanted("a", username=username, key=key) for username in ("alice", "bob") for key in ("k", "l")]
    assert len(set(ids_of(create_requests(database, requests)))) == 4
    assert len(set(ids_of(create_requests(database, requests)))) == 4
    assert len(list_requests(database).requests) == 4


@pytest.mark.parametrize("more", [{"pool": "pod"}, {"verify": "read"}])
def test_a_request_without_what_is_new_has_the_digest_that_versions_before_gave_it(more: dict[str, str]) -> None:
    asked: dict[str, Any] = {
        "method": "local_copy",
        "username": "alice",
        "items": [{"source": "a", "destination": "b"}],
    }
    silent, asks = (StagingRequest.model_validate(asked | more) for more in ({}, more))
    before = "19bbe996b7988eb101e8fe1f1d5a2fa395b00d40a8edeb628ed0d609b7d71f0c"
    assert [new_request(one).row["body_digest"] == before for one in (silent, asks)] == [True, False]


def test_a_key_of_a_request_that_still_arrives_is_refused_alone(database: Database) -> None:
    terms = StagingTerms(method="local_copy", username="alice")
    begin_large_request(database, terms, origin="api", idempotency_key="k")
    refused, taken = create_requests(database, [wanted("a", key="k"), wanted("b", key="l")])
    assert isinstance(refused, RequestArriving)
    assert_whole(database, ids_of([taken])[0], "b")


def test_of_a_transaction_with_what_no_database_takes_nothing_is_written(database: Database) -> None:
    with pytest.raises((exc.DBAPIError, OverflowError)):
        create_requests(database, [wanted("a"), impossible("b")])
    assert list_requests(database).requests == []


def test_a_path_that_cannot_be_written_down_is_refused_before_others_wait_with_it() -> None:
    with pytest.raises(InvalidPath):
        wanted("\ud800")


def test_no_user_gets_more_requests_than_may_be_open(database: Database) -> None:
    create_requests(database, [wanted("old", key="old")])
    requests = [wanted("a"), wanted("b"), wanted("c"), wanted("d", username="bob"), wanted("old", key="old")]
    first, second, third, other, known = create_requests(database, requests, most_open=2)
    assert [isinstance(one, TooManyRequests) for one in (first, second, third, other, known)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    fail_request(database, ids_of([first])[0], IdempotencyConflict("k"))
    assert len(ids_of(create_requests(database, [wanted("e"), wanted("f")], most_open=2))) == 1


def test_groups_of_several_services_that_share_keys_write_each_once(database_url: str) -> None:
    give_records(database_url)
    services = [Database(database_url, patience=60) for _ in range(4)]
    keys = [f"{number}" for number in range(30)]

    def write(database: Database) -> list[str]:
        groups = (keys[start : start + 6] for start in range(0, len(keys), 6))
        written = (create_requests(database, [wanted(key, key=key) for key in group]) for group in groups)
        return ids_of(list(chain.from_iterable(written)))

    with ThreadPoolExecutor(len(services)) as pool:
        one, *others = pool.map(write, services)
    assert len(one) == len(keys)
    assert all(other == one for other in others)
    for request_id, key in zip(one, keys, strict=True):
        assert_whole(services[0], request_id, key)
    for database in services:
        database.close()
