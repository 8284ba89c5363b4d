"""What was added to a request and has no shard yet is handed out once, when nothing more is added, and ends with it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from stager.errors import NotExpandable, RunLost
from stager.models import MAX_SIZE_BYTES, StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.database import Database
from stager.records.insight import progress_of, remainder_of
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases, release_leases
from stager.records.requests import (
    add_expanded,
    cancel_items,
    close_requests,
    create_request,
    fail_request,
    get_request,
)
from stager.records.runs import resubmit_requests
from stager.records.shards import shards_of
from stager.user_secrets import SecretKeys
from stager.vocabulary import Expand, Pool
from tests.records.test_expansion import FIVE, HOLDER, MANY, ONE, RUN, add, begin, begun, end, found, positions

SECRET = SecretKeys(SecretStr(Fernet.generate_key().decode())).take(SecretStr("t"))
SINGLE = ShardLimits(items=1, size_bytes=1000)


def many(number: int) -> StagingItem:
    return StagingItem(source=f"tree-{number}", destination=f"out-{number}", expand=Expand.DIRECTORY)


def standing(database: Database, request_id: str) -> list[tuple[int, int, str]]:
    shards = shards_of(database, [request_id])[request_id]
    return [(shard.first_position, shard.end_position, str(shard.status)) for shard in shards]


def test_few_items_of_each_of_many_expansions_share_shards(database: Database) -> None:
    first = begun(database, *(many(number) for number in range(12)))
    for number, file in enumerate(files_of(database, first.request_id)):
        acquire_leases(database, [file], holder=HOLDER, seconds=60)
        end(database, add(database, file, f"{number}-a", f"{number}-b"))
    assert positions(database, first.request_id) == [(0, 12), (12, 17), (17, 22), (22, 27), (27, 32), (32, 36)]


def test_what_has_no_shard_yet_waits_for_other_expansions_and_is_handed_out_when_their_shard_ends(
    database: Database,
) -> None:
    file = begun(database, MANY, many(1), limits=SINGLE)
    end(database, add(database, file, "a", "b"))
    release_leases(database, holder=HOLDER)
    close_requests(database, [file.request_id], holder=HOLDER, flow_run_id=RUN)
    assert standing(database, file.request_id) == [(0, 1, "completed"), (1, 2, "submitted")]
    begin(database, "run 1")
    fail_request(database, file.request_id, NotExpandable("tree-1", "no permission"), flow_run_id="run 1")
    assert standing(database, file.request_id) == [(0, 1, "completed"), (1, 2, "failed"), (2, 4, "submitted")]
    assert [str(one.status) for one in files_of(database, file.request_id)[2:]] == ["submitted", "submitted"]
    assert get_request(database, file.request_id).status is Status.STARTED


@pytest.mark.parametrize(
    "more", [{"secret": SECRET}, {"origin": "prefect", "flow_run_id": RUN}], ids=["secret", "prefect"]
)
def test_a_request_of_one_run_ends_with_that_run_when_it_failed_while_expanding(
    database: Database, more: dict[str, Any]
) -> None:
    file = begun(database, **more)
    add(database, file, *"abcdefg")
    row = fail_request(database, file.request_id, RunLost("its worker was killed"), flow_run_id=RUN)
    assert row.status is Status.FAILED
    assert {str(one.status) for one in files_of(database, file.request_id)} == {"failed"}
    assert standing(database, file.request_id) == [(0, 1, "failed")]


@pytest.mark.parametrize("limits", [None, SINGLE], ids=["one shard", "two shards"])
def test_what_was_added_goes_on_where_the_item_that_it_comes_of_is_cancelled_while_no_run_has_it(
    database: Database, limits: ShardLimits | None
) -> None:
    file = begun(database, MANY, ONE, limits=limits)
    add(database, file, "a", "b")
    resubmit_requests(database, RUN, RunLost("its worker was killed"))
    cancel_items(database, file.request_id, [0])
    assert [str(one.status) for one in files_of(database, file.request_id)] == ["cancelled", *["submitted"] * 3]
    assert standing(database, file.request_id)[-1] == (2, 4, "submitted")


def test_a_request_of_one_run_stays_that_when_the_item_that_was_expanded_is_cancelled(database: Database) -> None:
    file = begun(database, secret=SECRET)
    add(database, file, "a", "b")
    resubmit_requests(database, RUN, RunLost("its worker was killed"))
    cancel_items(database, file.request_id, [0])
    assert standing(database, file.request_id) == [(0, 3, "submitted")]


def test_a_shard_that_grew_is_not_closed_by_a_run_that_knows_its_former_end(database: Database) -> None:
    file = begun(database)
    end(database, add(database, file, "a"))
    release_leases(database, holder=HOLDER)
    ids, run = [file.request_id], RUN
    (row,) = close_requests(database, ids, holder="run 0/2", flow_run_id=run, ends={file.request_id: 1})
    assert row.status is Status.STARTED
    assert standing(database, file.request_id) == [(0, 2, "started")]
    (row,) = close_requests(database, ids, holder="run 0/2", flow_run_id=run, ends={file.request_id: 2})
    assert row.status is Status.FAILED


def test_a_run_that_was_told_to_stop_closes_also_what_grew(database: Database) -> None:
    file = begun(database)
    end(database, add(database, file, "a"))
    release_leases(database, holder=HOLDER)
    ids = [file.request_id]
    (row,) = close_requests(database, ids, holder=HOLDER, flow_run_id=RUN, cancelled=ids, ends={file.request_id: 1})
    assert row.status is Status.CANCELLED


def test_sizes_whose_sum_no_column_holds_end_as_the_largest_that_one_holds(database: Database) -> None:
    file = begun(database)
    largest = found("abc", size=MAX_SIZE_BYTES)
    file = add_expanded(database, file, largest, holder=HOLDER, limits=FIVE, most_items=10)
    file = add_expanded(database, file, found("de", size=MAX_SIZE_BYTES), holder=HOLDER, limits=FIVE, most_items=10)
    end(database, file)
    assert [one.size_bytes for one in progress_of(database, [file.request_id])] == [MAX_SIZE_BYTES]
    assert remainder_of(database, file.request_id).size_bytes == MAX_SIZE_BYTES
    for one in files_of(database, file.request_id)[1:]:
        change = FileChange(id=one.id, status=Status.COMPLETED, bytes_done=MAX_SIZE_BYTES, files_done=MAX_SIZE_BYTES)
        save_files(database, [change])
    (row,) = close_requests(database, [file.request_id])
    assert (row.status, row.bytes_done, row.files_done) == (Status.COMPLETED, MAX_SIZE_BYTES, MAX_SIZE_BYTES)


def test_sums_of_sizes_are_exact(database: Database) -> None:
    file = begun(database)
    sizes = (2**32 - 1, 2**60 + 1, 2**60 + 2, 2**60 + 2**32, 0)
    added = [found(f"{number}", size=size)[0] for number, size in enumerate(sizes)]
    limits = ShardLimits(items=5, size_bytes=2**62)
    end(database, add_expanded(database, file, added, holder=HOLDER, limits=limits, most_items=10))
    for one, size in zip(files_of(database, file.request_id)[1:], sizes, strict=True):
        save_files(database, [FileChange(id=one.id, status=Status.COMPLETED, bytes_done=size, files_done=1)])
    assert shards_of(database, [file.request_id])[file.request_id][-1].size_bytes == sum(sizes)
    (row,) = close_requests(database, [file.request_id])
    assert (row.bytes_done, row.files_done) == (sum(sizes), 5)


def test_added_shards_are_done_in_the_pool_that_was_asked_for(database: Database) -> None:
    request = StagingRequest(method="local_copy", username="alice", items=(MANY,), pool=Pool.POD)
    request_id = create_request(database, request).id
    begin(database)
    (file,) = files_of(database, request_id)
    acquire_leases(database, [file], holder=HOLDER, seconds=60)
    end(database, add(database, file, *"abcdefg"))
    assert [shard.pool for shard in shards_of(database, [request_id])[request_id]] == [Pool.POD] * 3
