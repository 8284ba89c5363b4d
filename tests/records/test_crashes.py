"""What becomes of the requests of a run that died."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from stager.errors import PodImpossible, RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases
from stager.records.requests import (
    cancel_request,
    cancel_run,
    close_requests,
    create_request,
    fail_request,
    get_request,
    requests_to_stop,
    start_requests,
)
from stager.records.runs import FairShare, claim_run_group, note_trouble, open_flow_runs, resubmit_requests
from stager.records.tables import Event

DIED = RunLost("the run crashed: out of memory")
FULL = ("Unschedulable", "no node can take its pod")
UNMOUNTED = ("FailedMount", "a volume cannot be mounted")
SHARE = FairShare(username="alice", method="local_copy", is_next=True)


def started(database: Database, run: str = "run", items: int = 1) -> str:
    """Return a request that a run has begun."""
    paths = tuple(StagingItem(source=f"a{number}", destination=f"b{number}") for number in range(items))
    row = create_request(database, StagingRequest(method="local_copy", username="alice", items=paths))
    start_requests(database, [row.id], flow_run_id=run, acting_as="alice")
    return row.id


def crash(database: Database, request_id: str, times: int) -> None:
    for number in range(times):
        run = f"run {number}"
        start_requests(database, [request_id], flow_run_id=run, acting_as="alice")
        resubmit_requests(database, run, DIED)


def test_it_waits_for_another_run_and_keeps_what_is_done(database: Database) -> None:
    request_id, other = started(database, items=2), started(database, "another run")
    done, open_ = files_of(database, request_id)
    save_files(database, [FileChange(id=done.id, status=Status.COMPLETED)])
    acquire_leases(database, [open_], holder="the dead one", seconds=600)
    assert sorted(open_flow_runs(database)) == ["another run", "run"]

    (row,) = resubmit_requests(database, "run", DIED)

    assert (row.id, row.status, row.flow_run_id) == (request_id, Status.SUBMITTED, None)
    assert [file.status for file in files_of(database, request_id)] == [Status.COMPLETED, Status.SUBMITTED]
    assert acquire_leases(database, [open_], holder="the next one", seconds=600) == []
    last = events_of(database, request_id)[-1]
    said = ("resubmitted", type(DIED).__name__, f"{DIED.message}; it waits for another run")
    assert (last.kind, last.cause, last.detail) == said
    assert get_request(database, other).status is Status.STARTED
    assert resubmit_requests(database, "run", DIED) == []


def test_the_dead_run_leaves_it_alone_if_it_lives_after_all(database: Database) -> None:
    request_id = started(database)
    assert requests_to_stop(database, [request_id], flow_run_id="run") == {}
    resubmit_requests(database, "run", DIED)
    for _ in range(2):  # while it waits, and when the next run has it
        assert set(requests_to_stop(database, [request_id], flow_run_id="run")) == {request_id}
        close_requests(database, [request_id], flow_run_id="run", cancelled=[request_id])
        assert not fail_request(database, request_id, DIED, flow_run_id="run").status.is_final
        start_requests(database, [request_id], flow_run_id="the next run", acting_as="alice")
    assert fail_request(database, request_id, DIED, flow_run_id="the next run").status is Status.FAILED


def test_each_try_has_a_key_of_its_own(database: Database) -> None:
    request_id = started(database)
    resubmit_requests(database, "run", DIED)
    group = claim_run_group(database, SHARE, limit=10)
    assert group is not None
    assert (group.key, group.request_ids) == (f"{request_id}-1", (request_id,))


def test_one_with_a_single_life_left_is_alone_in_its_run(database: Database) -> None:
    first, mortal, last = (started(database, run) for run in "123")
    for run in "123":
        resubmit_requests(database, run, DIED)
    crash(database, mortal, 1)
    groups = [claim_run_group(database, SHARE, limit=10) for _ in range(2)]
    assert [group.request_ids for group in groups if group] == [(first, last), (mortal,)]


def test_the_last_life_ends_it_with_the_reason(database: Database) -> None:
    request_id = started(database)
    resubmit_requests(database, "run", DIED)
    crash(database, request_id, 2)
    row = get_request(database, request_id)
    assert (row.status, row.error_reason, row.crashes) == (Status.FAILED, DIED.message, 3)


def test_one_that_was_asked_to_cancel_is_cancelled(database: Database) -> None:
    request_id = started(database)
    cancel_request(database, request_id)
    resubmit_requests(database, "run", DIED)
    assert get_request(database, request_id).status is Status.CANCELLED


def test_what_no_other_run_would_mend_ends_it_at_once(database: Database) -> None:
    request_id = started(database)
    (row,) = resubmit_requests(database, "run", PodImpossible("its image does not exist"))
    assert (row.id, row.status, row.error_reason) == (request_id, Status.FAILED, "its image does not exist")
    assert files_of(database, request_id)[0].error_type == "PodImpossible"


def befall(database: Database, *troubles: tuple[str, str]) -> None:
    """Let troubles befall a run, one after the other."""
    for cause, detail in troubles:
        note_trouble(database, "run", cause=cause, detail=detail)


def age(database: Database) -> None:
    """Let more than a minute have passed since whatever is on record."""

    def work(session: Session) -> None:
        for event in session.scalars(select(Event)):
            event.at -= timedelta(seconds=61)

    database.write(work)


def told(database: Database, request_id: str) -> list[tuple[str | None, str]]:
    return [(event.cause, event.detail) for event in events_of(database, request_id) if event.kind == "pod"]


def test_what_keeps_a_run_is_written_down_with_each_open_request_whenever_it_is_news(database: Database) -> None:
    first, second, other = started(database), started(database), started(database, "another run")
    befall(database, FULL, FULL, UNMOUNTED, UNMOUNTED)
    age(database)
    befall(database, UNMOUNTED, FULL, FULL)
    said = [FULL, UNMOUNTED, FULL]
    assert [told(database, request) for request in (first, second, other)] == [said, said, []]


def test_troubles_that_take_turns_are_written_down_once_a_minute(database: Database) -> None:
    request_id = started(database)
    befall(database, *[FULL, UNMOUNTED] * 3)
    assert told(database, request_id) == [FULL, UNMOUNTED]
    age(database)
    befall(database, *[FULL, UNMOUNTED] * 3)
    assert told(database, request_id) == [FULL, UNMOUNTED] * 2


def test_a_run_that_is_cancelled_in_prefect_is_asked_to_stop_with_all_its_requests(database: Database) -> None:
    first, second, other = started(database), started(database), started(database, "another run")
    cancel_run(database, "run")
    assert set(requests_to_stop(database, [first, second], flow_run_id="run")) == {first, second}
    assert not requests_to_stop(database, [other], flow_run_id="another run")
