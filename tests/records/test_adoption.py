"""A version before shards may write beside this one, in an upgrade and after a rollback: each finds what the other did.

What such a version does is told here by its own statements: it knows the columns of the requests alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, update
from sqlmodel import col

from stager.errors import RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.requests import (
    adopt_requests,
    create_request,
    fail_request,
    get_request,
    renew_requests,
    start_requests,
)
from stager.records.runs import (
    FairShare,
    Load,
    claim_run_group,
    fair_shares,
    load_of,
    note_flow_run,
    open_flow_runs,
    resubmit_requests,
    unfinished_shards,
)
from stager.records.shards import shards_of
from stager.records.tables import Shard, StagingRequestRow

SHARE = FairShare(username="alice", method="local_copy", is_next=True)
ITEMS = tuple(StagingItem(source=name, destination=name, size_bytes=100) for name in "ab")


def ask(database: Database) -> str:
    return create_request(database, StagingRequest(method="local_copy", username="alice", items=ITEMS)).id


def asked_before(database: Database) -> str:
    """Return a request that a version before shards has recorded."""
    request_id = ask(database)
    database.write(lambda session: session.execute(delete(Shard).where(col(Shard.request_id) == request_id)) and None)
    return request_id


def written_before(database: Database, request_id: str, **facts: Any) -> None:
    """Write of a request as a version before shards does."""
    its = update(StagingRequestRow).where(col(StagingRequestRow.id) == request_id)
    database.write(lambda session: session.execute(its.values(**facts)) and None)


def seen_before(database: Database, request_id: str) -> tuple[Any, ...]:
    """Return what a version before shards goes by."""
    row = get_request(database, request_id)
    return row.status, row.run_key, row.flow_run_id, row.crashes, row.flow_run_at, row.alive_until


def of_shard(database: Database, request_id: str) -> tuple[Any, ...]:
    [shard] = shards_of(database, [request_id])[request_id]
    return shard.status, shard.run_key, shard.flow_run_id, shard.crashes, shard.flow_run_at, shard.alive_until


def test_what_it_recorded_gets_a_shard_and_a_run(database: Database) -> None:
    request_id = asked_before(database)
    assert fair_shares(database, methods=["local_copy"], patience=0, most_runs=9) == []
    assert adopt_requests(database) == 1
    assert adopt_requests(database) == 0
    group = claim_run_group(database, SHARE, limit=10)
    assert group is not None
    [shard] = shards_of(database, [request_id])[request_id]
    assert (group.request_ids, load_of(shard)) == ((request_id,), Load(items=2, size_bytes=200))


def test_a_run_that_it_claimed_is_known_by_its_requests_alone(database: Database) -> None:
    mine, other = asked_before(database), asked_before(database)
    written_before(database, mine, run_key="key", flow_run_id="run")
    assert adopt_requests(database, [mine]) == 1
    assert of_shard(database, mine)[1:3] == ("key", "run")
    assert shards_of(database, [other]) == {other: []}


def test_what_it_did_with_a_request_of_this_version_is_taken_over(database: Database) -> None:
    request_id = ask(database)
    written_before(database, request_id, run_key="key", flow_run_id="run", status=Status.STARTED, crashes=1)
    assert adopt_requests(database) == 1
    assert claim_run_group(database, SHARE, limit=10) is None
    assert open_flow_runs(database) == ["run"]
    assert of_shard(database, request_id) == seen_before(database, request_id)


def test_a_run_of_it_that_says_that_it_lives_is_not_taken_for_silent(database: Database) -> None:
    request_id = ask(database)
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    assert unfinished_shards(database, stale=0)
    alive_until = get_request(database, request_id).created_at.replace(year=2200)
    written_before(database, request_id, alive_until=alive_until)
    assert adopt_requests(database) == 1
    assert unfinished_shards(database, stale=0) == []


def test_what_it_ended_has_ended(database: Database) -> None:
    request_id = ask(database)
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    written_before(database, request_id, status=Status.FAILED, error_reason="it broke")
    assert adopt_requests(database) == 1
    assert (open_flow_runs(database), adopt_requests(database)) == ([], 0)


def test_it_finds_all_that_this_version_does(database: Database) -> None:
    request_id = ask(database)
    group = claim_run_group(database, SHARE, limit=10)
    assert group is not None
    assert of_shard(database, request_id) == seen_before(database, request_id)
    note_flow_run(database, [request_id], "run", run_key=group.key)
    assert of_shard(database, request_id) == seen_before(database, request_id)
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    renew_requests(database, [request_id], seconds=60, flow_run_id="run")
    assert of_shard(database, request_id) == seen_before(database, request_id)
    resubmit_requests(database, "run", RunLost("it died"))
    assert of_shard(database, request_id) == seen_before(database, request_id)
    fail_request(database, request_id, RunLost("it died"))
    assert of_shard(database, request_id) == seen_before(database, request_id)
    assert adopt_requests(database) == 0
