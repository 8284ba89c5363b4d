"""Prefect's Retry of a run that failed: what failed of its requests is done again, by new ones."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from stager.models import Status
from stager.records import (
    Database,
    Digest,
    StagingRequestRow,
    add_items,
    begin_arrival,
    files_of,
    item_of,
    publish_arrival,
    request_of_key,
    terms_of,
)

PAGE = 1000


def times_failed(requests: Sequence[StagingRequestRow], flow_run_id: str) -> int:
    """Return how often a run has failed before, one of whose requests has; 0 for a run that is begun but once.

    A run that crashed, or whose pod was moved, has not failed: nobody asked for it again.
    """
    if not any(request.status is Status.FAILED for request in requests):
        return 0
    states = get_client(sync_client=True).read_flow_run_states(UUID(flow_run_id))
    return sum(state.type is StateType.FAILED for state in states)


def done_again(database: Database, request: StagingRequestRow, *, flow_run_id: str, times: int) -> StagingRequestRow:
    """Return the request that does again what failed of another, made for this run; or the other, where nothing did.

    Each of so many times has one of its own, also where this is called again.
    """
    for _ in range(times):
        if request.status is not Status.FAILED:
            break
        key = f"{flow_run_id}/{request.id}"
        request = request_of_key(database, request.username, key) or _new(database, request, key, flow_run_id)
    return request


def _new(database: Database, request: StagingRequestRow, key: str, flow_run_id: str) -> StagingRequestRow:
    terms = terms_of(request)
    digest, count, position = Digest(terms), 0, None
    made = begin_arrival(
        database,
        terms,
        origin="retry",
        idempotency_key=key,
        retry_of=request.id,
        is_bounded=request.is_bounded,
        flow_run_id=flow_run_id,
    )
    while files := files_of(database, request.id, after=position, limit=PAGE, statuses=(Status.FAILED,)):
        position = files[-1].position
        items = [item_of(file) for file in files]
        add_items(database, made, items, start=count)
        for item in items:
            digest.add(item)
        count += len(items)
    return publish_arrival(database, made, item_count=count, digest=str(digest))
