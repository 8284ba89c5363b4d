from __future__ import annotations

from functools import partial

import pytest

from stager.errors import Cancelled, InvalidMethod, RequestNotFound, RunLost, StagingError
from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import Progress, files_of, note_progress, save_files
from stager.records.leases import acquire_leases, confirm_leases
from stager.records.requests import (
    cancel_request,
    close_requests,
    create_request,
    fail_request,
    get_request,
    renew_requests,
    requests_to_stop,
    start_requests,
)
from stager.records.runs import note_flow_run, unfinished_shards, waiting_requests
from stager.records.tables import StagedFile, StagingRequestRow

C, S, F, X = Status.COMPLETED, Status.SKIPPED, Status.FAILED, Status.CANCELLED


def submit(database: Database, count: int) -> tuple[str, list[StagedFile]]:
    items = tuple(StagingItem(source=f"{n}", destination=f"{n}") for n in range(count))
    row = create_request(database, StagingRequest(method="local_copy", username="alice", items=items))
    return row.id, list(files_of(database, row.id))


def end(database: Database, files: list[StagedFile], *statuses: Status) -> None:
    save_files(
        database,
        [
            {"id": file.id, "status": status, "error_reason": f"reason {file.position}" if status in (F, X) else None}
            for file, status in zip(files, statuses, strict=False)
        ],
    )


def close(
    database: Database, request_id: str, *, holder: str | None = None, cancelled: bool = False
) -> StagingRequestRow:
    [row] = close_requests(database, [request_id], holder=holder, cancelled=[request_id] if cancelled else [])
    return row


@pytest.mark.parametrize(
    ("endings", "status", "reason"),
    [
        ((C, C, C), C, None),
        ((C, S, C), C, None),
        ((S, S, S), S, None),
        ((C, F, C), F, "1 of 3 items failed: reason 1"),
        ((F, F, F), F, "3 of 3 items failed: reason 0; reason 1; reason 2"),
        ((F, F, F, F), F, "4 of 4 items failed: reason 0; reason 1; reason 2; ..."),
        ((F,), F, "reason 0"),
        ((C, X, F), X, "1 of 3 items cancelled: reason 1"),
    ],
)
def test_a_requests_ending_follows_from_its_items(
    database: Database, endings: tuple[Status, ...], status: Status, reason: str | None
) -> None:
    request_id, files = submit(database, len(endings))
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice (uid 1, gid 1)")
    end(database, files, *endings)
    row = close(database, request_id)
    assert (row.status, row.error_reason) == (status, reason)
    assert row == get_request(database, request_id)
    assert row.finished_at is not None
    assert [event.kind for event in events_of(database, request_id)] == ["submitted", "started", status]


def test_what_is_open_when_a_request_is_closed_failed(database: Database) -> None:
    request_id, files = submit(database, 2)
    end(database, files, C)
    assert close(database, request_id).status is F
    assert [file.status for file in files_of(database, request_id)] == [C, F]


def test_what_is_open_when_a_cancelled_request_is_closed_was_cancelled(database: Database) -> None:
    request_id, files = submit(database, 3)
    end(database, files, C, F)
    row = close(database, request_id, cancelled=True)
    assert (row.status, row.error_reason) == (X, "1 of 3 items cancelled: cancelled on request")
    assert [file.status for file in files_of(database, request_id)] == [C, F, X]


def test_a_request_whose_items_were_all_done_was_not_cancelled(database: Database) -> None:
    request_id, files = submit(database, 1)
    end(database, files, C)
    assert close(database, request_id, cancelled=True).status is C


def test_what_has_ended_is_never_opened_again(database: Database) -> None:
    request_id, files = submit(database, 1)
    end(database, files, C)
    closed = close(database, request_id)
    assert save_files(database, [{"id": files[0].id, "status": F}]) == [files[0].id]
    note_progress(database, [Progress(files[0].id, 1, 1)])
    note_flow_run(database, [request_id], "late")
    start_requests(database, [request_id], flow_run_id="late", acting_as="x")
    fail_request(database, request_id, RunLost("late"))
    assert close(database, request_id, cancelled=True) == closed
    [file] = files_of(database, request_id)
    assert (file.status, file.bytes_done) == (C, 0)


def test_a_run_may_begin_twice(database: Database) -> None:
    request_id, _ = submit(database, 1)
    first = start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    assert start_requests(database, [request_id], flow_run_id="run", acting_as="alice") == first
    assert [event.kind for event in events_of(database, request_id)] == ["submitted", "started"]
    assert first[0].status is Status.STARTED


def test_another_run_that_goes_on_is_the_one_that_counts(database: Database) -> None:
    request_id, _ = submit(database, 1)
    start_requests(database, [request_id], flow_run_id="run-1", acting_as="alice")
    start_requests(database, [request_id], flow_run_id="run-2", acting_as="alice")
    assert get_request(database, request_id).flow_run_id == "run-2"


def test_several_requests_are_started_in_the_order_that_was_given(database: Database) -> None:
    ids = [submit(database, 1)[0] for _ in range(3)][::-1]
    assert [row.id for row in start_requests(database, ids, flow_run_id="run", acting_as="x")] == ids


def test_a_request_that_is_not_there_is_not_found_and_none_is_started(database: Database) -> None:
    request_id, _ = submit(database, 1)
    with pytest.raises(RequestNotFound):
        start_requests(database, [request_id, "f" * 32], flow_run_id="run", acting_as="x")
    assert get_request(database, request_id).status is Status.SUBMITTED


def test_a_dead_runs_request_is_closed_and_it_can_publish_no_more(database: Database) -> None:
    request_id, files = submit(database, 2)
    acquire_leases(database, files, holder="run", seconds=60)
    end(database, files, C)
    row = fail_request(database, request_id, RunLost("the run crashed"))
    assert (row.status, row.error_reason) == (F, "1 of 2 items failed: the run crashed")
    assert [file.status for file in files_of(database, request_id)] == [C, F]
    assert confirm_leases(database, [files[1]], holder="run", seconds=60) == [files[1]]


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidMethod("tape"), F), (RunLost("the run crashed"), F), (Cancelled(), X)]
)
def test_a_request_that_was_refused_as_a_whole_keeps_the_kind_of_error(
    database: Database, error: StagingError, status: Status
) -> None:
    request_id, _ = submit(database, 2)
    assert fail_request(database, request_id, error).status is status
    kept = {(file.status, file.error_type, file.error_reason) for file in files_of(database, request_id)}
    assert kept == {(status, type(error).__name__, error.message)}


def test_a_request_that_nobody_has_begun_is_cancelled_at_once(database: Database) -> None:
    request_id, _ = submit(database, 2)
    row = cancel_request(database, request_id)
    assert (row.status, row.error_reason) == (X, "2 of 2 items cancelled: cancelled on request")
    assert start_requests(database, [request_id], flow_run_id="run", acting_as="x")[0].status is X


def test_a_run_is_told_which_of_its_requests_to_leave(database: Database) -> None:
    ids = [submit(database, 1)[0] for _ in range(3)]
    start_requests(database, ids, flow_run_id="run", acting_as="alice")
    assert requests_to_stop(database, ids, flow_run_id="run") == {}
    assert cancel_request(database, ids[0]).status is Status.STARTED
    assert cancel_request(database, ids[0]).cancel_requested
    fail_request(database, ids[1], RunLost("it was silent"))
    assert set(requests_to_stop(database, ids, flow_run_id="run")) == set(ids[:2])
    assert [event.kind for event in events_of(database, ids[0])] == ["submitted", "started", "cancel_requested"]
    assert close(database, ids[0], cancelled=True).status is X


def test_what_has_ended_cannot_be_cancelled(database: Database) -> None:
    request_id, files = submit(database, 1)
    end(database, files, C)
    closed = close(database, request_id)
    assert cancel_request(database, request_id) == closed


def test_reasons_keep_whatever_they_quote(database: Database) -> None:
    request_id, files = submit(database, 1)
    reason = "cannot read \udcff\U0001f52d" + "x" * 100_000
    save_files(database, [{"id": files[0].id, "status": F, "error_reason": reason, "error_type": "SourceUnreadable"}])
    row = close(database, request_id)
    assert row.error_reason is not None
    assert row.error_reason.startswith("cannot read \\udcff\U0001f52dxxx")


def test_progress_is_kept(database: Database) -> None:
    request_id, files = submit(database, 3)
    note_progress(database, [Progress(files[0].id, 2**40, 7), Progress(files[2].id, 1, 0)])
    kept = [(file.bytes_done, file.files_done) for file in files_of(database, request_id)]
    assert kept == [(2**40, 7), (0, 0), (1, 0)]


@pytest.mark.any_python
def test_ten_thousand_files_are_saved_at_once(database: Database) -> None:
    request_id, files = submit(database, 10_000)
    assert save_files(database, [{"id": file.id, "status": C, "size_bytes": file.position} for file in files]) == []
    assert [file.size_bytes for file in files_of(database, request_id)] == list(range(10_000))
    assert close(database, request_id).status is C


def test_what_waits_is_found_until_it_is_begun(database: Database) -> None:
    request_id, _ = submit(database, 1)
    assert [row.id for row in waiting_requests(database, method="local_copy", older_than=0)] == [request_id]
    assert waiting_requests(database, method="local_copy", older_than=60) == []
    assert waiting_requests(database, method="direct_download", older_than=0) == []
    start_requests(database, [request_id], flow_run_id=None, acting_as="alice")
    assert waiting_requests(database, method="local_copy", older_than=0) == []


def test_a_silent_run_is_found_and_a_living_one_is_not(database: Database) -> None:
    request_id, files = submit(database, 1)
    assert unfinished_shards(database, stale=0) == []
    note_flow_run(database, [request_id], "run")
    assert [shard.request_id for shard in unfinished_shards(database, stale=0)] == [request_id]
    assert unfinished_shards(database, stale=60) == []
    acquire_leases(database, files, holder="run", seconds=60)
    assert unfinished_shards(database, stale=0) == []
    acquire_leases(database, files, holder="run", seconds=0)
    assert [shard.request_id for shard in unfinished_shards(database, stale=0)] == [request_id]
    fail_request(database, request_id, RunLost("gone"))
    assert unfinished_shards(database, stale=0) == []


def test_a_run_that_says_that_it_lives_is_not_found_even_between_two_batches(database: Database) -> None:
    request_id, _ = submit(database, 1)
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    renew_requests(database, [request_id], seconds=60)
    assert unfinished_shards(database, stale=0) == []
    renew_requests(database, [request_id], seconds=0)
    [found] = unfinished_shards(database, stale=0)
    assert found.request_id == request_id
    fail_request(database, request_id, RunLost("gone"))
    closed = get_request(database, request_id)
    renew_requests(database, [request_id], seconds=60)
    assert get_request(database, request_id) == closed


def test_a_reconciler_finds_all_of_them_a_page_at_a_time(database: Database) -> None:
    ids = [submit(database, 1)[0] for _ in range(7)]
    pages = partial(waiting_requests, database, method="local_copy", older_than=0, limit=3)
    waiting = [first := pages()]
    waiting += [second := pages(after=first[-1])]
    waiting += [pages(after=second[-1])]
    assert [[row.id for row in page] for page in waiting] == [ids[:3], ids[3:6], ids[6:]]
    for request_id in ids:
        note_flow_run(database, [request_id], "run")
    page = unfinished_shards(database, stale=0, limit=5)
    rest = unfinished_shards(database, stale=0, after=page[-1], limit=5)
    assert [shard.request_id for shard in [*page, *rest]] == ids


def test_an_overtaken_run_neither_ends_files_nor_closes_the_request(database: Database) -> None:
    request_id, files = submit(database, 1)
    acquire_leases(database, files, holder="one", seconds=0)
    acquire_leases(database, files, holder="two", seconds=60)
    assert save_files(database, [{"id": files[0].id, "status": F}], holder="one") == [files[0].id]
    assert close(database, request_id, holder="one").status is Status.SUBMITTED
    assert save_files(database, [{"id": files[0].id, "status": C}], holder="two") == []
    assert close(database, request_id, holder="two").status is C
