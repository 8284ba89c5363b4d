"""Why a request's data are not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import Field

from stager.callers.current import SeenRequest
from stager.http.dependencies import CurrentSettings, OpenRecords
from stager.http.examples import BEGAN, ENDED, REQUEST_ID
from stager.http.problems import documented
from stager.http.record_views import View
from stager.insight.dependencies import OpenPrefect
from stager.insight.explain.estimate import Estimate, estimate
from stager.insight.explain.pools import ShardsPool, pools_of
from stager.insight.explain.queue import why_not_begun
from stager.insight.explain.recorded_reason import WAITS, Reason, expanding, recorded_reason
from stager.models import Status
from stager.records.events import cause_began, last_events
from stager.records.insight import remainder_of, samples, under_expansion
from stager.records.shards import shards_of
from stager.records.tables import Shard

router = APIRouter(prefix="/requests", tags=["requests"])


class ShardCounts(View):
    """The shards of a request: each has a run of its own, and most requests have one."""

    waiting: int = Field(description="That no run has begun.", examples=[33])
    running: int = Field(description="That runs are working on.", examples=[4])
    ended: int = Field(description="That have ended.", examples=[3])


class Explanation(Reason):
    """Why a request's data are not there yet."""

    request_id: str = Field(examples=[REQUEST_ID])
    status: Status
    items_left: int = Field(description="Items that have not ended yet.")
    bytes_left: int | None = Field(
        description="Bytes of these items; null where a size is not known yet.", examples=[2880]
    )
    shards: ShardCounts
    pools: tuple[ShardsPool, ...] = Field(
        description="Where its shards run, or will: one entry where all agree; none of a download."
    )
    crashes: int = Field(
        description="Runs that have died over this request so far; its events of the kind resubmitted say why."
    )
    estimate: Estimate | None = Field(
        description="When it may be done; null where too few requests were done before.",
        examples=[{"earliest": BEGAN, "latest": ENDED, "measured_on": 50, "measured_by": "bytes"}],
    )


@router.get(
    "/{request_id}/explain",
    operation_id="explain_request",
    summary="Why the data are not there yet",
    responses=documented(401, 404, 422, 503),
)
async def explain(
    settings: CurrentSettings, records: OpenRecords, prefect: OpenPrefect, row: SeenRequest
) -> Explanation:
    """Return the cause now, since when, who can mend it, and when it may be over."""
    moment = datetime.now(UTC)
    event = (await records.ask(last_events, [row.id])).get(row.id)
    left = await records.ask(remainder_of, row.id)
    past = await records.ask(samples, row.method)
    shards = (await records.ask(shards_of, [row.id]))[row.id]
    if row.status is Status.SUBMITTED and not (event is not None and event.kind in WAITS):
        pool = next((shard.run_pool for shard in shards if shard.run_key == row.run_key), None)
        found = await why_not_begun(row, pool=pool, records=records, prefect=prefect, most_runs=settings.max_runs)
    else:
        since = await records.ask(cause_began, event) if event else None
        found = recorded_reason(row, event, moment=moment, since=since)
        if found.cause == "Working" and (item := await records.ask(under_expansion, row.id)):
            found = expanding(item, since=found.since)
    return Explanation(
        **found.model_dump(),
        request_id=row.id,
        status=row.status,
        items_left=left.items,
        bytes_left=left.size_bytes,
        shards=_counts(shards),
        pools=pools_of(shards, settings),
        crashes=row.crashes,
        estimate=estimate(row, left, past, moment=moment),
    )


def _counts(shards: Sequence[Shard]) -> ShardCounts:
    waiting = sum(shard.status is Status.SUBMITTED for shard in shards)
    running = sum(shard.status is Status.STARTED for shard in shards)
    return ShardCounts(waiting=waiting, running=running, ended=len(shards) - waiting - running)
