"""What a run is told to leave."""

from __future__ import annotations

from pathlib import Path

from stager.errors import RunLost
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.requests import create_request, start_requests
from stager.records.runs import note_flow_run, resubmit_requests
from stager.runs.stop import Stops
from tests.records_database import give_records


def test_a_request_that_was_given_back_before_its_run_began_it_is_not_cancelled_by_that(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    give_records(url)
    database = Database(url)
    items = (StagingItem(source="a", destination="a"),)
    row = create_request(database, StagingRequest(method="local_copy", username="alice", items=items))
    note_flow_run(database, [row.id], "first")
    stops = Stops([row.id])
    resubmit_requests(database, "first", RunLost("its worker was killed"))
    stops.listen(database, flow_run_id="first")
    start_requests(database, [row.id], flow_run_id="first", acting_as="root")
    stops.begun.add(row.id)
    stops.listen(database, flow_run_id="first")
    assert not stops.requests[row.id].is_set()
    database.close()
