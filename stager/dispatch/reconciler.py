"""The reconciler submits what waits, resubmits what crashed and closes what ended, so that no record is forgotten.

Several processes may do this at once: a request gets one run by its idempotency
key, and a record that has ended is never opened or ended again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import structlog

from stager.dispatch.handover import submit
from stager.dispatch.pod_trouble import PodTrouble
from stager.dispatch.pod_watch import PodWatch, error_of
from stager.dispatch.pools import POD_POOL, pool_rule
from stager.dispatch.prefect import CANCELLED, CRASHED, FlowRun, PrefectClient
from stager.errors import Cancelled, DeploymentMissing, RunLost, ServiceUnavailable, StagingError
from stager.records.database import AsyncDatabase
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.request_secrets import forget_missed_secrets
from stager.records.requests import (
    abandon_large_request,
    abandoned_large_requests,
    adopt_requests,
    end_cancelled_shards,
    fail_request,
    stop_overdue_requests,
)
from stager.records.runs import (
    claims_without_run,
    open_flow_runs,
    resubmit_requests,
    silent_downloads,
    unfinished_shards,
    waiting_requests,
)
from stager.records.tables import Shard, StagingRequestRow
from stager.settings import Settings

if TYPE_CHECKING:
    from stager.dispatch.cluster import Pods

logger = structlog.get_logger(__name__)

# How long a process that claimed requests or recorded a download may take for its next step, in seconds.
CLAIM_SECONDS = 5.0
# The states in which Prefect leaves a run whose machine died, and the state that the run is given then.
ENDINGS_OF_LOST_RUNS = {"PENDING": CRASHED, "RUNNING": CRASHED, "CANCELLING": CANCELLED}


class LastHeartbeat(NamedTuple):
    """The last heartbeat for a shard or a download; since when no check has found a newer one (by time.monotonic)."""

    sign: datetime | None
    since: float


class Reconciler:
    """Polls every few seconds for requests, runs and downloads that nobody looks after any more.

    Parameters
    ----------
    pods
        The cluster's; None where there is no Kubernetes.
    recorded
        Set when requests wait for a run again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        records: AsyncDatabase,
        prefect: PrefectClient,
        pods: Pods | None,
        recorded: asyncio.Event,
    ) -> None:
        self._settings, self._records, self._prefect, self._recorded = settings, records, prefect, recorded
        self._pods = PodWatch(settings, records=records, prefect=prefect, pods=pods)
        self._silent: dict[tuple[str, int], LastHeartbeat] = {}
        # When each check last succeeded, by time.monotonic.
        self._ended: dict[str, float] = {}

    @property
    def lag(self) -> float:
        """How long ago the check that is furthest behind last succeeded, in seconds."""
        now = time.monotonic()
        return now - min(self._ended.values(), default=now)

    async def run(self) -> None:
        """Check until cancelled. An error ends one check; the next one is tried after a pause."""
        async with asyncio.TaskGroup() as checks:
            checks.create_task(self._repeat(self.adopt))
            checks.create_task(self._repeat(self.submit_waiting))
            checks.create_task(self._repeat(self.take_up_lost))
            checks.create_task(self._repeat(self.close_unfinished))
            checks.create_task(self._repeat(self.stop_overdue))
            checks.create_task(self._repeat(self.remove_abandoned))
            checks.create_task(self._repeat(self.forget_secrets))

    async def _repeat(self, check: Callable[[], Awaitable[None]]) -> None:
        trouble = ""
        self._ended[check.__name__] = time.monotonic()
        while True:
            await asyncio.sleep(self._settings.reconcile_interval)
            try:
                await check()
            except ServiceUnavailable as error:
                if not trouble:
                    logger.warning("Could not check for dropped requests; will retry", reason=error.message)
                trouble = error.message
            except Exception:
                logger.exception("An unforeseen error interrupted the check for dropped requests; will retry")
            else:
                if trouble:
                    logger.info("Checks for dropped requests work again", reason=trouble)
                trouble = ""
                self._ended[check.__name__] = time.monotonic()

    async def adopt(self) -> None:
        """Take over what a version before shards, which runs beside this one during an upgrade, wrote of requests."""
        if adopted := await self._records.ask(adopt_requests):
            logger.info("Requests of a version before this one taken over", requests=adopted)
            self._recorded.set()

    async def submit_waiting(self) -> None:
        """Create the runs that were claimed but never created, and close the downloads that never began."""
        pool_of = pool_rule(self._settings)
        for group in await self._records.ask(claims_without_run, older_than=CLAIM_SECONDS, pool_of=pool_of):
            with suppress(DeploymentMissing):  # another method's requests need not wait for it
                await submit(group, settings=self._settings, records=self._records, prefect=self._prefect)
        last = None
        while rows := await self._records.ask(
            waiting_requests, method=DIRECT_DOWNLOAD, older_than=CLAIM_SECONDS, after=last
        ):
            last = rows[-1]
            for row in rows:
                await self._close(row.id, RunLost("the service stopped before the download began"))

    async def stop_overdue(self) -> None:
        """Cancel requests that were not done by their deadline, and end what is left of cancelled ones."""
        await self._records.ask(end_cancelled_shards)
        for row in await self._records.ask(stop_overdue_requests):
            _log("Request cancelled: its deadline has passed", row)

    async def remove_abandoned(self) -> None:
        """Remove large requests whose items stopped arriving."""
        for request_id in await self._records.ask(abandoned_large_requests):
            await self._records.ask(abandon_large_request, request_id)
            logger.warning("Incomplete large request removed", staging_request=request_id)

    async def forget_secrets(self) -> None:
        """Delete the secrets of requests that somebody ended without that."""
        if missed := await self._records.ask(forget_missed_secrets):
            logger.info("Secrets of ended requests deleted", secrets=missed)

    async def take_up_lost(self) -> None:
        """Resubmit the requests of lost runs: what ended a machine was hardly the request."""
        runs = await self._prefect.read_flow_runs(await self._records.ask(open_flow_runs))
        troubles, ending = await self._pods.look(runs.values())
        for run in runs.values():
            if run.is_lost and run.id not in ending:
                await self._take_up(run, troubles.get(run.id))

    async def _take_up(self, run: FlowRun, trouble: PodTrouble | None) -> None:
        error = error_of(trouble) if trouble else RunLost(_reason(run))
        for row in await self._records.ask(resubmit_requests, run.id, error):
            _log("Request of a lost run resubmitted or closed", row)
        self._recorded.set()
        await self._pods.clear(run, trouble)

    async def close_unfinished(self) -> None:
        """Close what the runs that have ended or were deleted left open, and end the runs whose machines have died."""
        before, self._silent = self._silent, {}  # a look that fails forgets: what it missed was no silence
        silent: dict[tuple[str, int], LastHeartbeat] = {}
        stale, last = self._settings.reconcile_interval, None
        while shards := await self._records.ask(unfinished_shards, stale=stale, after=last):
            last = shards[-1]
            runs = await self._prefect.read_flow_runs([shard.flow_run_id or "" for shard in shards])
            for shard in shards:
                run = runs.get(shard.flow_run_id or "")
                if run and run.is_lost:
                    continue  # taken up
                if run is None or run.is_over:
                    await self._close(shard.request_id, _error(run), flow_run_id=shard.flow_run_id)
                elif run.state in ENDINGS_OF_LOST_RUNS and not _is_watched(run):
                    key = shard.request_id, shard.number
                    silent[key] = _silence(shard, before.get(key))
                    await self._end_if_dead(shard, run, since=silent[key].since)
        await self._close_downloads(before, silent)
        self._silent = silent

    async def _end_if_dead(self, shard: Shard, run: FlowRun, *, since: float) -> None:
        """End a run in Prefect that has sent no heartbeat for a whole lease."""
        if time.monotonic() - since < self._settings.lease:
            return
        message = f"its machine died: it has sent no heartbeat since {shard.alive_until or shard.flow_run_at:%F %T} UTC"
        logger.warning(
            "Run ended in Prefect: its machine died", staging_request=shard.request_id, flow_run=run.id, reason=message
        )
        await self._prefect.end_flow_run(run.id, state=ENDINGS_OF_LOST_RUNS[run.state], message=message)

    async def _close_downloads(
        self, before: Mapping[tuple[str, int], LastHeartbeat], silent: dict[tuple[str, int], LastHeartbeat]
    ) -> None:
        """Close the downloads whose service has sent no heartbeat for a whole lease."""
        stale, last = self._settings.reconcile_interval, None
        while rows := await self._records.ask(silent_downloads, stale=stale, after=last):
            last = rows[-1]
            for row in rows:
                key = row.id, 0
                silent[key] = _silence(row, before.get(key))
                if time.monotonic() - silent[key].since >= self._settings.lease:
                    await self._close(row.id, RunLost("the service stopped before the download ended"))

    async def _close(self, request_id: str, error: StagingError, *, flow_run_id: str | None = None) -> None:
        row = await self._records.ask(fail_request, request_id, error, flow_run_id=flow_run_id)
        _log("Request closed by the reconciler", row)


def _is_watched(run: FlowRun) -> bool:
    """Return whether a run waits for its pod, which may take long and is watched elsewhere."""
    return run.state == "PENDING" and run.work_pool == POD_POOL


def _log(event: str, row: StagingRequestRow) -> None:
    facts = {"method": row.method, "username": row.username, "status": row.status.value, "reason": row.error_reason}
    logger.warning(event, staging_request=row.id, **facts)


def _silence(one: Shard | StagingRequestRow, known: LastHeartbeat | None) -> LastHeartbeat:
    return known if known and known.sign == one.alive_until else LastHeartbeat(one.alive_until, time.monotonic())


def _error(run: FlowRun | None) -> StagingError:
    """Return the error of what an ended run left open, in plain words."""
    if run is None:
        return RunLost("the run was deleted in Prefect")
    return Cancelled(_reason(run)) if run.state == CANCELLED else RunLost(_reason(run))


def _reason(run: FlowRun) -> str:
    words = {
        "CANCELLED": "the run was cancelled",
        CRASHED: "the run crashed",
        "FAILED": "the run failed",
        "COMPLETED": "the run ended without recording an outcome",
    }
    return f"{words[run.state]}: {run.message}" if run.message else words[run.state]
