"""What becomes of a request that is not done in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.events import events_of
from stager.records.requests import (
    close_requests,
    create_request,
    requests_to_stop,
    start_requests,
    stop_overdue_requests,
)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
REASON = "not done by its deadline, 2026-01-01 00:00:00 UTC"


def ask(database: Database, deadline: datetime | None) -> str:
    items = (StagingItem(source="a", destination="b"),)
    return create_request(
        database, StagingRequest(method="local_copy", username="alice", items=items, deadline=deadline)
    ).id


def test_only_what_is_overdue_is_stopped(database: Database) -> None:
    late, *_ = (ask(database, deadline) for deadline in (LONG_AGO, None, datetime.now(UTC) + timedelta(days=1)))
    assert [(row.id, row.status) for row in stop_overdue_requests(database)] == [(late, Status.CANCELLED)]
    assert [event.cause for event in events_of(database, late)] == [None, "DeadlinePassed"]


def test_the_run_of_an_overdue_request_is_told_to_leave_it_and_why(database: Database) -> None:
    late = ask(database, LONG_AGO)
    start_requests(database, [late], flow_run_id="run", acting_as="alice")
    [row] = stop_overdue_requests(database)
    assert (row.status, row.cancel_requested) == (Status.STARTED, True)
    assert stop_overdue_requests(database) == []
    assert requests_to_stop(database, [late], flow_run_id="run")[late].message == REASON
    assert close_requests(database, [late], cancelled=[late])[0].error_reason == REASON
