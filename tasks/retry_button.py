"""Prefect's Retry button: what a run's requests did not deliver is done again, by new requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from prefect.client.orchestration import get_client

from stager.errors import IdempotencyConflict
from stager.models import StagingItem, Status
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.requests import (
    BodyDigest,
    abandon_large_request,
    add_items,
    begin_large_request,
    expansions_among,
    item_again,
    request_of_key,
    submit_large_request,
    terms_again,
)
from stager.records.tables import Shard, StagingRequestRow

ORIGIN = "prefect"
# The statuses of requests and items that are done again.
ENDINGS = (Status.FAILED, Status.CANCELLED)
ITEMS_AT_ONCE = 1000


def times_retried(flow_run_id: str) -> int:
    """Return how often Prefect's Retry button was pressed for a run.

    A run that is given to another process, because its pod was moved or its
    worker stopped, is none of these: nobody asked for that.
    """
    states = get_client(sync_client=True).read_flow_run_states(UUID(flow_run_id))
    return sum(state.name == "AwaitingRetry" for state in states)


def retried(
    database: Database, request: StagingRequestRow, shard: Shard, *, flow_run_id: str, times: int
) -> StagingRequestRow:
    """Return the last of so many retries of a run's shard of a request, each of the one before; create those missing.

    There are fewer of them where one has left nothing to be done.

    Raises
    ------
    IdempotencyConflict
        A request that is no retry of that one has its key.
    """
    status, positions = shard.status, shard.positions
    for _ in range(times):
        if status not in ENDINGS:
            break
        request = _next(database, request, positions, flow_run_id)
        status, positions = request.status, range(request.item_count)
    return request


def _next(database: Database, request: StagingRequestRow, positions: range, flow_run_id: str) -> StagingRequestRow:
    key = f"{flow_run_id}/{request.id}"
    known = request_of_key(database, request.username, key)
    if known is not None and (known.origin, known.retry_of) != (ORIGIN, request.id):
        raise IdempotencyConflict(key)
    if known is not None and not known.is_arriving:
        return known
    if known is not None:  # half written, by a run that was killed
        abandon_large_request(database, known.id)
    if next(_pages(database, request.id, positions), None) is None:
        return request
    terms = terms_again(request)
    made = begin_large_request(
        database,
        terms,
        origin=ORIGIN,
        idempotency_key=key,
        retry_of=request.id,
        is_bounded=request.is_bounded,
        has_secret=request.has_secret,
    )
    try:
        digest, count = BodyDigest(terms), 0
        for items in _pages(database, request.id, positions):
            add_items(database, made, items, start=count)
            for item in items:
                digest.add(item)
            count += len(items)
        return submit_large_request(database, made, item_count=count, digest=str(digest), flow_run_id=flow_run_id)
    except BaseException:
        abandon_large_request(database, made)
        raise


def _pages(database: Database, request_id: str, positions: range) -> Iterator[Sequence[StagingItem]]:
    """Yield what was not delivered among the items at some positions, as it was asked for."""
    last = positions.start - 1
    expanded = {one for one in expansions_among(database, request_id, statuses=ENDINGS) if one in positions}
    while files := files_of(database, request_id, after=last, limit=ITEMS_AT_ONCE, statuses=ENDINGS):
        last = files[-1].position
        ours = [file for file in files if file.position in positions and file.expanded_from not in expanded]
        if ours:
            yield [item_again(file) for file in ours]
        if last >= positions.stop:
            return
