"""What a request waits for that no run has begun yet: other users, Prefect, workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from stager.dispatch.dispatcher import RUN_BEGINS_SECONDS
from stager.dispatch.prefect import PrefectClient
from stager.dispatch.queue_position import AWAITS_SLOT, QueuePosition, RunQueue
from stager.errors import ServiceUnavailable
from stager.insight.explain.recorded_reason import Reason, reason
from stager.methods.all_methods import METHODS
from stager.records.database import AsyncDatabase
from stager.records.runs import FairShare, fair_shares
from stager.records.tables import StagingRequestRow
from stager.vocabulary import Pool

# A worker that has not polled for so long is away: it polls every ten seconds or so.
WORKER_AWAY_AFTER = timedelta(seconds=60)


async def why_not_begun(
    row: StagingRequestRow, *, pool: Pool | None, records: AsyncDatabase, prefect: PrefectClient, most_runs: int
) -> Reason:
    """Return what a submitted request waits for, by our records or, once it has a run, by Prefect.

    Parameters
    ----------
    pool
        The one that its run is claimed for, if one is.
    most_runs
        So many runs of one user may be under way.
    """
    since = row.flow_run_at or row.created_at
    if row.run_key is None and row.flow_run_id is None:
        waiting = await records.ask(
            fair_shares, methods=sorted(METHODS), patience=RUN_BEGINS_SECONDS, most_runs=most_runs
        )
        return _behind_others(row, waiting, most_runs=most_runs)
    try:
        if row.flow_run_id is None:
            await prefect.check_method(row.method, in_pod=pool is Pool.POD)
            return reason("HandedOver", "it is about to be handed to Prefect", since=since)
        place = await prefect.place_of(row.flow_run_id)
    except ServiceUnavailable as error:
        return reason(type(error).__name__, error.message, since=since)
    return _place(place, since=since)


def _behind_others(row: StagingRequestRow, waiting: list[FairShare], *, most_runs: int) -> Reason:
    ours = [share for share in waiting if (share.username, share.method) == (row.username, row.method)]
    if any(share.has_most_runs for share in ours):
        message = f"{most_runs} runs of {row.username} are under way, as many as may be (STAGER_MAX_RUNS)"
        return reason("LimitReached", message, since=row.created_at)
    if ours and not ours[0].is_next:
        message = f"a run of {row.username} has not begun yet; what is asked for meanwhile goes into the next"
    else:
        ahead = [share.username for share in waiting]
        number = ahead.index(row.username) if row.username in ahead else 0
        message = f"it waits for its turn, behind {number} other users"
    return reason("WaitsForTurn", message, since=row.created_at)


def _place(place: QueuePosition | None, *, since: datetime) -> Reason:
    if place is None:
        return reason("RunLost", "Prefect does not know its run any more", since=since)
    if place.state == "PENDING":
        return reason("RunStarting", place.message or "a worker has taken its run and starts it", since=place.since)
    if place.state != "SCHEDULED":
        return reason("RunStarting", f"Prefect calls its run {place.name}: {place.message}", since=place.since)
    if place.pool is None or place.queue is None:
        return reason("QueuedInPrefect", "its deployment has no work pool", since=place.since)
    return reason(*_in_line(place, place.pool, place.queue), since=place.since)


def _in_line(place: QueuePosition, pool: RunQueue, queue: RunQueue) -> tuple[str, str]:
    """Return what a run in Prefect's queue waits for: the cause, and a sentence."""
    lines = {
        "Pool": (pool, f"the work pool {pool.name}"),
        "Queue": (queue, f"the work queue {queue.name} of {pool.name}"),
    }
    for kind, (line, words) in lines.items():
        if line.is_paused:
            return f"{kind}Paused", f"{words} is paused"
    worker = place.worker
    if worker is None or datetime.now(UTC) - worker.seen > WORKER_AWAY_AFTER:
        seen = f"{worker.name} was the last to, at {worker.seen:%F %T} UTC" if worker else "none ever did"
        return "NoWorker", f"no worker polls the work pool {pool.name}: {seen}"
    if place.name == AWAITS_SLOT:
        return "LimitReached", "as many runs of its deployment are under way as may be"
    for line, words in lines.values():
        if line.is_full:
            return "LimitReached", f"{line.under_way} runs of {words} are under way, as many as may be"
    waits = f"its run waits for the worker {worker.name}, which last polled at {worker.seen:%F %T} UTC"
    return "QueuedInPrefect", f"{waits}, behind {place.ahead} other runs"
