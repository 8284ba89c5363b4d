"""What an item stands for is added to its request once each, cut into shards, and ends with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from stager.errors import (
    Cancelled,
    InvalidPath,
    LeaseLost,
    NotExpandable,
    PathOutsideArea,
    RunLost,
    StagingError,
    TooManyItems,
)
from stager.models import StagingItem, StagingRequest, Status
from stager.paths import locate
from stager.records.cutting import ENDLESS, MAX_PIECES, ShardLimits
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases, release_leases
from stager.records.requests import (
    AddedItem,
    BodyDigest,
    add_expanded,
    cancel_request,
    close_requests,
    create_request,
    end_expansion,
    expansion_of,
    expansions_among,
    get_request,
    item_again,
    start_requests,
)
from stager.records.runs import FairShare, claim_run_group, note_flow_run, resubmit_requests
from stager.records.shards import shards_of
from stager.records.tables import StagedFile
from stager.user_secrets import SecretKeys
from stager.vocabulary import Expand, Pool

SHARE = FairShare(username="alice", method="local_copy", is_next=True)
MANY = StagingItem(source="tree", destination="out", expand=Expand.DIRECTORY)
ONE = StagingItem(source="a", destination="a")
RUN, HOLDER = "run 0", "run 0/1"
FIVE = ShardLimits(items=5, size_bytes=1000)


def begin(database: Database, run: str = RUN) -> None:
    group = claim_run_group(database, SHARE, limit=1)
    assert group is not None
    note_flow_run(database, group.request_ids, run, run_key=group.key)
    start_requests(database, group.request_ids, flow_run_id=run, acting_as="alice")


def begun(database: Database, *items: StagingItem, request: StagingRequest | None = None, **more: Any) -> StagedFile:
    """Return the first item of a request that a run has begun, and whose lease it has."""
    request = request or StagingRequest(method="local_copy", username="alice", items=items or (MANY,))
    request_id = create_request(database, request, **more).id
    if "flow_run_id" not in more:
        begin(database)
    file = files_of(database, request_id)[0]
    assert acquire_leases(database, [file], holder=HOLDER, seconds=60) == []
    return file


def found(names: Sequence[str], *, size: int = 10, to: str = "out") -> list[AddedItem]:
    return [AddedItem(StagingItem(source=f"tree/{name}", destination=f"{to}/{name}"), size) for name in names]


def add(database: Database, file: StagedFile, *names: str, holder: str = HOLDER, **more: Any) -> StagedFile:
    terms = {"limits": FIVE, "most_items": 1000} | more
    return add_expanded(database, file, found(names), holder=holder, **terms)  # type: ignore[arg-type]


def end(database: Database, file: StagedFile, error: StagingError | None = None) -> None:
    end_expansion(database, file, error, holder=HOLDER, limits=FIVE)


def positions(database: Database, request_id: str) -> list[tuple[int, int]]:
    return [(shard.first_position, shard.end_position) for shard in shards_of(database, [request_id])[request_id]]


def test_few_are_done_by_the_run_that_added_them(database: Database) -> None:
    file = begun(database, MANY, ONE)
    end(database, add(database, file, "a", "b"))
    assert positions(database, file.request_id) == [(0, 4)]
    row, files = get_request(database, file.request_id), files_of(database, file.request_id)
    assert row.item_count == 4
    assert [(one.expanded_from, one.size_bytes, str(one.status)) for one in files] == [
        (None, 0, "completed"),
        (None, None, "submitted"),
        (0, 10, "submitted"),
        (0, 10, "submitted"),
    ]


def test_many_are_cut_into_shards_while_they_are_added(database: Database) -> None:
    file = begun(database)
    file = add(database, file, *"abcd")
    assert positions(database, file.request_id) == [(0, 1)]
    file = add(database, file, *"efghijk")
    assert positions(database, file.request_id) == [(0, 1), (1, 6), (6, 11)]
    end(database, add(database, file, "l"))
    shards = shards_of(database, [file.request_id])[file.request_id]
    assert positions(database, file.request_id) == [(0, 1), (1, 6), (6, 11), (11, 13)]
    assert [(shard.size_bytes, shard.shard_count, str(shard.status)) for shard in shards] == [
        (0, 4, "started"),
        (50, 4, "submitted"),
        (50, 4, "submitted"),
        (20, 4, "submitted"),
    ]


@pytest.mark.parametrize(("wanted", "shards"), [(None, [(0, 1), (1, 3)]), (Pool.WARM, [(0, 3)])])
def test_a_shard_that_a_warm_worker_does_does_not_grow_to_what_is_for_a_pod(
    database: Database, wanted: Pool | None, shards: list[tuple[int, int]]
) -> None:
    request = StagingRequest(method="local_copy", username="alice", items=(MANY,), pool=wanted)
    file = begun(database, request=request)
    small = ShardLimits(items=2, size_bytes=1000)
    end_expansion(database, add(database, file, "a", "b"), None, holder=HOLDER, limits=FIVE, warm_limits=small)
    assert positions(database, file.request_id) == shards


def test_bytes_cut_too(database: Database) -> None:
    file = begun(database)
    add_expanded(database, file, found("abc", size=600), holder=HOLDER, limits=FIVE, most_items=10)
    assert positions(database, file.request_id) == [(0, 1), (1, 2), (2, 3)]


def test_there_are_never_very_many_shards() -> None:
    assert [FIVE.after(count).items for count in (0, MAX_PIECES // 2 - 1, MAX_PIECES // 2, MAX_PIECES)] == [
        5,
        5,
        10,
        ENDLESS,
    ]


def test_a_page_whose_answer_was_lost_is_added_once(database: Database) -> None:
    file = begun(database)
    first = add(database, file, "a", "b")
    assert add(database, file, "a", "b").expanded_to == first.expanded_to
    assert get_request(database, file.request_id).item_count == 3
    assert expansion_of(database, file.id)[1] == "out/b"


def test_only_the_holder_of_its_lease_adds_and_ends(database: Database) -> None:
    file = begun(database)
    with pytest.raises(LeaseLost):
        add(database, file, "a", holder="run 0/2")
    release_leases(database, holder=HOLDER)
    with pytest.raises(LeaseLost):
        add(database, file, "a")
    with pytest.raises(LeaseLost):
        end(database, file)
    assert get_request(database, file.request_id).item_count == 1


def test_a_request_with_a_secret_and_one_from_prefect_stay_one_runs(database: Database) -> None:
    keys = SecretKeys(SecretStr(Fernet.generate_key().decode()))
    for more in ({"secret": keys.take(SecretStr("t"))}, {"origin": "prefect"}):
        file = begun(database, **more)
        names = [f"{number}" for number in range(20)]
        end(database, add(database, file, *names))
        assert positions(database, file.request_id) == [(0, 21)]
        release_leases(database, holder=HOLDER)


def test_none_is_added_beyond_what_a_request_may_have_nor_to_one_that_is_to_stop(database: Database) -> None:
    file = begun(database)
    with pytest.raises(TooManyItems, match="More than 3 items"):
        add(database, file, "a", "b", "c", most_items=3)
    cancel_request(database, file.request_id)
    with pytest.raises(Cancelled):
        add(database, file, "a")
    assert get_request(database, file.request_id).item_count == 1


def test_what_can_be_no_item_fails_the_expansion_when_all_else_was_added(database: Database) -> None:
    file = begun(database)
    why, later = InvalidPath("x", "it is too long"), InvalidPath("y", "it is too long")
    file = add(database, add(database, file, "a", left_out=why), left_out=later)
    end(database, add(database, file, "b"))
    parent, *added = files_of(database, file.request_id)
    assert (parent.status, parent.error_type, parent.error_reason) == (Status.FAILED, "InvalidPath", why.message)
    assert [one.relative_path for one in added] == ["out/a", "out/b"]


def test_what_was_added_goes_on_when_the_expansion_failed(database: Database) -> None:
    file = begun(database)
    end(database, add(database, file, *"abcdefg"), NotExpandable("tree", "no permission"))
    release_leases(database, holder=HOLDER)
    close_requests(database, [file.request_id], holder=HOLDER, flow_run_id=RUN)
    assert [str(shard.status) for shard in shards_of(database, [file.request_id])[file.request_id]] == [
        "failed",
        "submitted",
        "submitted",
    ]
    for run in ("run 1", "run 2"):
        begin(database, run)
        close_requests(database, [file.request_id], holder=f"{run}/1", flow_run_id=run)
    row = get_request(database, file.request_id)
    assert row.status is Status.FAILED
    assert [event.detail for event in events_of(database, file.request_id) if event.kind == "expanded"] == [
        "item 0 became 7 items, and no more: Source cannot be expanded: tree: no permission"
    ]


def test_what_was_added_goes_on_when_too_many_runs_died_over_the_expansion(database: Database) -> None:
    file = begun(database)
    add(database, file, "a", "b")
    for number in range(1, 4):
        resubmit_requests(database, f"run {number - 1}", RunLost("killed"))
        if number < 3:
            begin(database, f"run {number}")
    shards = shards_of(database, [file.request_id])[file.request_id]
    assert [(shard.positions, str(shard.status)) for shard in shards] == [
        (range(1), "failed"),
        (range(1, 3), "submitted"),
    ]
    assert not get_request(database, file.request_id).status.is_final


def test_what_was_added_is_cancelled_with_its_request_also_where_the_run_hears_of_it_late(database: Database) -> None:
    file = begun(database)
    file = add(database, file, *"abcdefg")
    cancel_request(database, file.request_id)
    end(database, file, Cancelled())
    close_requests(database, [file.request_id], holder=HOLDER, flow_run_id=RUN)
    assert {one.status for one in files_of(database, file.request_id)} == {Status.CANCELLED}
    assert get_request(database, file.request_id).status is Status.CANCELLED


def test_an_item_that_became_others_does_not_count_for_how_they_ended(database: Database) -> None:
    file = begun(database)
    end(database, add(database, file, "a"))
    release_leases(database, holder=HOLDER)
    (_, child) = files_of(database, file.request_id)
    save_files(database, [FileChange(id=child.id, status=Status.SKIPPED)])
    (row,) = close_requests(database, [file.request_id], flow_run_id=RUN)
    assert (row.status, row.files_done, row.bytes_done) == (Status.SKIPPED, 0, 0)


def test_a_retry_expands_again_what_was_not_expanded(database: Database) -> None:
    file = begun(database, MANY, ONE)
    end(database, add(database, file, "a"), NotExpandable("tree", "no permission"))
    assert item_again(file) == MANY
    assert expansions_among(database, file.request_id, statuses=[Status.FAILED]) == {0}
    assert expansions_among(database, file.request_id, statuses=[Status.COMPLETED]) == set()


def test_a_version_before_refuses_it_by_the_path_that_it_looks_at(database: Database, tmp_path: Path) -> None:
    file = begun(database)
    assert file.source == "tree"
    for is_direct in (False, True):
        with pytest.raises(PathOutsideArea, match="later versions"):
            locate(tmp_path, file.local_path_on_storage, may_be_absolute=True, is_direct=is_direct)


def test_the_digest_of_what_is_not_expanded_is_as_it_was_before() -> None:
    terms = StagingRequest(method="local_copy", username="alice", items=(ONE,))
    digests = []
    for item in (ONE, MANY, MANY.model_copy(update={"expand": None})):
        digest = BodyDigest(terms)
        digest.add(item)
        digests.append(str(digest))
    assert len(set(digests)) == 3
    assert digests[0] == "1b75a90b77d894045098294a276d935a61ee4cf866a411619b69068163737469"
