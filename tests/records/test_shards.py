"""A large request is cut into shards, each with a run of its own; what befalls one leaves the others alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import update
from sqlmodel import col

from stager.errors import Cancelled, DeadlinePassed, LeaseLost, PodImpossible, RunLost, TooManyRequests
from stager.models import StagingItem, StagingRequest, StagingTerms, Status
from stager.records.cutting import MAX_PIECES, Cutter, Piece, ShardLimits
from stager.records.database import Database, database_time
from stager.records.events import events_of
from stager.records.items import FileChange, files_of, manifest_writer, save_files
from stager.records.leases import acquire_leases, confirm_leases
from stager.records.requests import (
    abandon_large_request,
    add_items,
    begin_large_request,
    cancel_items,
    cancel_request,
    cancel_run,
    close_requests,
    create_request,
    end_cancelled_shards,
    fail_request,
    get_request,
    renew_requests,
    requests_to_stop,
    start_requests,
    stop_overdue_requests,
    submit_large_request,
)
from stager.records.runs import (
    FairShare,
    Load,
    RunGroup,
    claim_run_group,
    claims_without_run,
    fair_shares,
    load_of,
    note_flow_run,
    open_flow_runs,
    resubmit_requests,
    unfinished_shards,
)
from stager.records.shards import shards_of
from stager.records.tables import Shard, StagingRequestRow
from stager.settings import Settings
from stager.user_secrets import SecretKeys

SHARE = FairShare(username="alice", method="local_copy", is_next=True)
TWO = ShardLimits(items=2, size_bytes=1000)
DIED = RunLost("the run crashed: out of memory")


def ask(database: Database, count: int = 6, *, limits: ShardLimits = TWO, deadline: timedelta | None = None) -> str:
    """Return a request of alice's, which by default has three shards."""
    items = tuple(StagingItem(source=f"a{n}", destination=f"b{n}", size_bytes=10) for n in range(count))
    until = database_time(database) + deadline if deadline else None
    wanted = StagingRequest(method="local_copy", username="alice", items=items, deadline=until)
    return create_request(database, wanted, limits=limits).id


def begun(database: Database, runs: int, **asked: object) -> str:
    """Return a request that so many runs have begun, each with its first shard that waits: run 0, run 1, ..."""
    request_id = ask(database, **asked)  # type: ignore[arg-type] # as it takes them
    for number in range(runs):
        begin(database, request_id, f"run {number}")
    return request_id


def begin(database: Database, request_id: str, run: str) -> RunGroup:
    group = claim_run_group(database, SHARE, limit=10)
    assert group is not None
    note_flow_run(database, group.request_ids, run, run_key=group.key)
    start_requests(database, [request_id], flow_run_id=run, acting_as="alice")
    return group


def shards(database: Database, request_id: str) -> list[Shard]:
    return shards_of(database, [request_id])[request_id]


def statuses(database: Database, request_id: str) -> list[str]:
    return [str(shard.status) for shard in shards(database, request_id)]


def items(database: Database, request_id: str) -> list[str]:
    return [str(file.status) for file in files_of(database, request_id)]


def deliver(database: Database, request_id: str, positions: Sequence[int]) -> None:
    files = files_of(database, request_id)
    save_files(database, [FileChange(id=files[at].id, status=Status.COMPLETED, bytes_done=10) for at in positions])


def close(database: Database, request_id: str, run: str) -> Status:
    return close_requests(database, [request_id], holder=f"{run}/1", flow_run_id=run)[0].status


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([1, 1], [Piece(0, 2, 2)]),
        ([1, 1, 1], [Piece(0, 2, 2), Piece(2, 3, 1)]),
        ([600, 400, None, 1], [Piece(0, 2, 1000), Piece(2, 4, 1)]),
        ([600, 401], [Piece(0, 1, 600), Piece(1, 2, 401)]),
        ([5000, 1], [Piece(0, 1, 5000), Piece(1, 2, 1)]),
        ([], [Piece(0, 0, 0)]),
    ],
)
def test_it_is_cut_by_items_and_by_bytes(sizes: list[int | None], pieces: list[Piece]) -> None:
    cutter = Cutter(TWO)
    cutter.add(sizes)
    assert cutter.pieces() == pieces


def test_without_limits_it_is_one() -> None:
    cutter = Cutter()
    cutter.add([10**15] * 5)
    assert cutter.pieces() == [Piece(0, 5, 5 * 10**15)]


def test_there_are_never_very_many_shards_and_they_have_all_items() -> None:
    cutter = Cutter(ShardLimits(items=1, size_bytes=10))
    cutter.add([7] * 10_000)
    pieces = cutter.pieces()
    assert len(pieces) <= MAX_PIECES
    assert [piece.first for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert (pieces[-1].end, sum(piece.size_bytes for piece in pieces)) == (10_000, 70_000)


def test_a_million_items_are_tens_of_shards() -> None:
    settings = Settings()
    cutter = Cutter(ShardLimits(items=settings.shard_items, size_bytes=settings.shard_bytes))
    cutter.add([None] * 1_000_000)
    assert len(cutter.pieces()) == 40


def test_a_request_that_arrived_in_parts_is_cut_and_one_that_a_run_has_is_not(database: Database) -> None:
    for run, count in ((None, 2), ("run", 1)):
        terms = StagingTerms(method="local_copy", username="alice")
        request_id = begin_large_request(database, terms, origin="api", idempotency_key=None)
        cutter = Cutter(TWO)
        for start in (0, 2):
            some = [StagingItem(source=f"a{n}", destination=f"b{n}") for n in range(start, start + 2)]
            add_items(database, request_id, some, start=start)
            cutter.add(item.size_bytes for item in some)
        submit_large_request(database, request_id, item_count=4, digest="0", pieces=cutter.pieces(), flow_run_id=run)
        assert [shard.flow_run_id for shard in shards(database, request_id)] == [run] * count
        abandon_large_request(database, request_id)  # which is there: nothing is removed
        assert len(items(database, request_id)) == 4


def test_a_request_is_one_of_those_that_its_user_may_have_open_however_many_shards_it_has(database: Database) -> None:
    item = StagingItem(source="a", destination="b")
    begun(database, 2)
    create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,)), most_open=2)
    with pytest.raises(TooManyRequests):
        create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,)), most_open=2)


def test_a_request_with_a_secret_is_not_cut(database: Database) -> None:
    items = tuple(StagingItem(source="a", destination=f"b{n}") for n in range(5))
    wanted = StagingRequest(method="jupyter_copy", username="alice", items=items)
    secret = SecretKeys(SecretStr(Fernet.generate_key().decode())).take(SecretStr("a-token"))
    request_id = create_request(database, wanted, limits=TWO, secret=secret).id
    assert [shard.positions for shard in shards(database, request_id)] == [range(5)]


def test_each_shard_has_a_run_of_its_own_side_by_side(database: Database) -> None:
    request_id = ask(database)
    groups = [begin(database, request_id, f"run {number}") for number in range(3)]
    assert [group.request_ids for group in groups] == [(request_id,)] * 3
    assert [load_of(shard) for shard in shards(database, request_id)] == [Load(items=2, size_bytes=20)] * 3
    assert len({group.key for group in groups}) == 3
    assert [shard.flow_run_id for shard in shards(database, request_id)] == ["run 0", "run 1", "run 2"]
    assert sorted(open_flow_runs(database)) == ["run 0", "run 1", "run 2"]
    assert claim_run_group(database, SHARE, limit=10) is None


def test_no_more_of_them_have_a_run_at_a_time_than_may_be(database: Database) -> None:
    request_id = ask(database)
    claimed = [claim_run_group(database, SHARE, limit=10, most_shards=2) for _ in range(3)]
    assert [group is not None for group in claimed] == [True, True, False]
    shares = {"methods": ["local_copy"], "patience": 0, "most_runs": 9}
    assert fair_shares(database, **shares, most_shards=2) == []  # type: ignore[arg-type] # as it takes them
    assert len(fair_shares(database, **shares, most_shards=3)) == 1  # type: ignore[arg-type] # as it takes them
    note_flow_run(database, [request_id], "run", run_key=request_id)
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    close(database, request_id, "run")
    assert claim_run_group(database, SHARE, limit=10, most_shards=2) is not None


def test_what_else_its_user_asks_for_waits_for_no_later_shard(database: Database) -> None:
    large = begun(database, 1)
    small = ask(database, 1)
    groups = [claim_run_group(database, SHARE, limit=10) for _ in range(2)]
    assert [group and group.request_ids for group in groups] == [(small,), (large,)]


def test_users_take_turns_by_shard(database: Database) -> None:
    begun(database, 1)
    claim_run_group(database, SHARE, limit=10)  # its run has not begun
    item = StagingItem(source="a", destination="b")
    create_request(database, StagingRequest(method="local_copy", username="bob", items=(item,)))
    found = fair_shares(database, methods=["local_copy"], patience=60, most_runs=9)
    assert [(share.username, share.is_next) for share in found] == [("alice", False), ("bob", True)]


def test_a_claim_of_a_shard_without_a_run_is_found_again(database: Database) -> None:
    ask(database)
    groups = [claim_run_group(database, SHARE, limit=10) for _ in range(2)]
    assert sorted(claims_without_run(database, older_than=0), key=lambda group: group.key) == groups


def test_it_is_started_with_its_first_shard_and_ends_with_its_last(database: Database) -> None:
    request_id = ask(database)
    for number in range(3):
        begin(database, request_id, f"run {number}")
        assert get_request(database, request_id).status is Status.STARTED
    deliver(database, request_id, range(6))
    assert [close(database, request_id, f"run {number}") for number in (2, 0, 1)] == [
        Status.STARTED,
        Status.STARTED,
        Status.COMPLETED,
    ]
    row = get_request(database, request_id)
    assert (row.bytes_done, row.crashes, row.flow_run_id) == (60, 0, "run 2")
    assert statuses(database, request_id) == ["completed"] * 3


def test_it_shows_the_run_of_the_first_that_is_open(database: Database) -> None:
    request_id = begun(database, 2)
    assert get_request(database, request_id).flow_run_id == "run 0"
    close(database, request_id, "run 0")
    assert get_request(database, request_id).flow_run_id == "run 1"


def test_a_shard_that_fails_fails_its_own_items(database: Database) -> None:
    request_id = begun(database, 3)
    fail_request(database, request_id, PodImpossible("no image"), flow_run_id="run 1")
    assert items(database, request_id) == ["submitted"] * 2 + ["failed"] * 2 + ["submitted"] * 2
    assert statuses(database, request_id) == ["started", "failed", "started"]
    assert requests_to_stop(database, [request_id], flow_run_id="run 0") == {}
    assert set(requests_to_stop(database, [request_id], flow_run_id="run 1")) == {request_id}
    deliver(database, request_id, (0, 1, 4, 5))
    close(database, request_id, "run 0")
    close(database, request_id, "run 2")
    row = get_request(database, request_id)
    assert (row.status, row.error_reason) == (Status.FAILED, "2 of 6 items failed: no image")


def test_of_those_that_end_at_once_one_closes_the_request(database: Database) -> None:
    for _ in range(5):
        request_id = begun(database, 3)
        deliver(database, request_id, range(6))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(partial(close, database, request_id), [f"run {number}" for number in range(3)]))
        assert get_request(database, request_id).status is Status.COMPLETED
        kinds = [event.kind for event in events_of(database, request_id)]
        assert (kinds.count("completed"), kinds.count("shard")) == (1, 2)


def test_a_shard_whose_run_died_goes_on_where_it_was_and_the_others_are_left_alone(database: Database) -> None:
    request_id = begun(database, 3)
    deliver(database, request_id, [2])
    under_way = files_of(database, request_id)[3:5]
    save_files(database, [FileChange(id=file.id, status=Status.STARTED) for file in under_way])

    [row] = resubmit_requests(database, "run 1", DIED)

    assert (row.status, row.crashes) == (Status.STARTED, 1)
    assert items(database, request_id)[2:5] == ["completed", "submitted", "started"]
    assert statuses(database, request_id) == ["started", "submitted", "started"]
    group = begin(database, request_id, "run 3")
    assert group.key == f"{request_id}.1-1"
    assert shards(database, request_id)[1].flow_run_id == "run 3"


def test_it_is_submitted_again_where_none_of_it_is_begun(database: Database) -> None:
    request_id = begun(database, 1)
    resubmit_requests(database, "run 0", DIED)
    assert get_request(database, request_id).status is Status.SUBMITTED


def test_too_many_crashes_of_a_shard_end_its_items_alone(database: Database) -> None:
    request_id = begun(database, 2)
    for run in ("run 0", "again", "at last"):
        if run != "run 0":
            begin(database, request_id, run)
        resubmit_requests(database, run, DIED)
    assert statuses(database, request_id) == ["failed", "started", "submitted"]
    assert items(database, request_id) == ["failed"] * 2 + ["submitted"] * 4
    assert get_request(database, request_id).status is Status.STARTED


def test_the_leases_of_a_dead_shard_are_taken_away_and_no_others(database: Database) -> None:
    request_id = begun(database, 2)
    files = files_of(database, request_id)
    holders = {"run 0/a": files[:2], "run 1/b": files[2:4]}
    for holder, some in holders.items():
        assert acquire_leases(database, some, holder=holder, seconds=600) == []
    resubmit_requests(database, "run 0", DIED)
    left = {holder: confirm_leases(database, some, holder=holder, seconds=600) for holder, some in holders.items()}
    assert left == {"run 0/a": files[:2], "run 1/b": []}
    with pytest.raises(LeaseLost), manifest_writer(database, files[0], holder="run 0/a"):
        pass


def test_a_twin_of_its_run_keeps_a_shard_open_and_that_of_another_does_not(database: Database) -> None:
    request_id = begun(database, 2)
    files = files_of(database, request_id)
    acquire_leases(database, files[2:4], holder="run 1/other", seconds=600)
    close(database, request_id, "run 0")
    close(database, request_id, "run 1")
    assert statuses(database, request_id) == ["failed", "started", "submitted"]


def test_a_cancel_reaches_all_of_them(database: Database) -> None:
    request_id = begun(database, 2)
    deliver(database, request_id, [0])
    assert cancel_request(database, request_id).status is Status.STARTED
    assert statuses(database, request_id) == ["started", "started", "cancelled"]
    for run in ("run 0", "run 1"):
        assert set(requests_to_stop(database, [request_id], flow_run_id=run)) == {request_id}
        close_requests(database, [request_id], flow_run_id=run, cancelled=[request_id])
    assert get_request(database, request_id).status is Status.CANCELLED
    assert items(database, request_id) == ["completed"] + ["cancelled"] * 5
    assert claim_run_group(database, SHARE, limit=10) is None


def test_a_cancel_before_any_is_begun_ends_all_of_them(database: Database) -> None:
    request_id = ask(database)
    claim_run_group(database, SHARE, limit=10)
    assert cancel_request(database, request_id).status is Status.CANCELLED
    assert statuses(database, request_id) == ["cancelled"] * 3


def test_who_cancels_one_of_its_runs_in_prefect_cancels_the_request(database: Database) -> None:
    for cancel in (
        lambda request_id: fail_request(database, request_id, Cancelled(), flow_run_id="run 0"),
        lambda _: cancel_run(database, "run 0"),
    ):
        request_id = begun(database, 2)
        cancel(request_id)
        assert statuses(database, request_id)[1:] == ["started", "cancelled"]
        assert set(requests_to_stop(database, [request_id], flow_run_id="run 1")) == {request_id}
        for run in ("run 0", "run 1"):
            close_requests(database, [request_id], flow_run_id=run, cancelled=[request_id])
        assert get_request(database, request_id).status is Status.CANCELLED


def test_a_dead_shard_of_a_request_that_is_cancelled_is_cancelled(database: Database) -> None:
    request_id = begun(database, 2)
    cancel_request(database, request_id)
    resubmit_requests(database, "run 0", DIED)
    fail_request(database, request_id, RunLost("the run failed"), flow_run_id="run 1")
    assert statuses(database, request_id) == ["cancelled"] * 3
    assert get_request(database, request_id).status is Status.CANCELLED


def test_a_cancel_that_was_killed_halfway_is_finished(database: Database) -> None:
    request_id = begun(database, 1)
    asked = update(StagingRequestRow).where(col(StagingRequestRow.id) == request_id).values(cancel_requested=True)
    database.write(lambda session: session.execute(asked) and None)
    assert end_cancelled_shards(database) == 1
    assert end_cancelled_shards(database) == 0
    assert statuses(database, request_id) == ["started", "cancelled", "cancelled"]


def test_a_deadline_reaches_all_of_them(database: Database) -> None:
    request_id = begun(database, 2, deadline=timedelta(seconds=-1))
    stop_overdue_requests(database)
    assert statuses(database, request_id) == ["started", "started", "cancelled"]
    stopped = requests_to_stop(database, [request_id], flow_run_id="run 1")
    assert isinstance(stopped[request_id], DeadlinePassed)
    assert files_of(database, request_id)[5].error_type == "DeadlinePassed"


def test_items_that_are_cancelled_end_at_once_where_no_run_has_begun_them(database: Database) -> None:
    request_id = begun(database, 1)
    cancel_items(database, request_id, [0, 2, 4, 5])
    files = files_of(database, request_id)
    assert [file.cancel_requested for file in files] == [True] + [False] * 5
    assert items(database, request_id) == ["submitted"] * 2 + ["cancelled", "submitted"] + ["cancelled"] * 2
    assert statuses(database, request_id) == ["started", "submitted", "cancelled"]


def test_a_silent_shard_is_found_while_the_others_live(database: Database) -> None:
    request_id = begun(database, 2)
    for run, seconds in (("run 0", 0), ("run 1", 60)):
        renew_requests(database, [request_id], seconds=seconds, flow_run_id=run)
    assert [shard.flow_run_id for shard in unfinished_shards(database, stale=0)] == ["run 0"]
    acquire_leases(database, files_of(database, request_id)[:1], holder="run 0/a", seconds=60)
    assert unfinished_shards(database, stale=0) == []
