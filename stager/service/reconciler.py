"""Submits what waits, and closes what crashed: nothing that was recorded is forgotten.

Several doors may do this at once: a request gets one run by its idempotency
key, and a record that has ended is never opened or ended again.
"""

from __future__ import annotations

import asyncio
import uuid

import structlog

from stager.errors import DeploymentMissing, ServiceUnavailable
from stager.models import Status
from stager.records import (
    StagingRequestRow,
    acquire_leases,
    fail_request,
    files_of,
    list_requests,
    unfinished_requests,
    waiting_requests,
)
from stager.service.door import Door
from stager.service.download_record import DIRECT_DOWNLOAD
from stager.service.prefect import FlowRun
from stager.service.submission import submit

logger = structlog.get_logger(__name__)

# Seconds that whoever recorded a request has for handing it to Prefect.
GRACE = 5.0


class Reconciler:
    """Looks every few seconds for what was dropped."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._name = f"reconciler {uuid.uuid4().hex}"
        self._trouble = ""

    async def run(self) -> None:
        """Look until cancelled; an error ends one look, never the looking."""
        while True:
            await asyncio.sleep(self._door.settings.reconcile_interval)
            for look in (self.submit_waiting, self.close_dropped, self.close_downloads):
                try:
                    await look()
                except ServiceUnavailable as error:
                    self._note_trouble(error.message)
                    break
                except Exception:
                    logger.exception("The reconciler met an unforeseen error")
            else:
                self._note_trouble("")

    async def submit_waiting(self) -> None:
        """Hand to Prefect what was recorded while it was away."""
        door = self._door
        for row in await door.ask(waiting_requests, older_than=GRACE):
            if row.method == DIRECT_DOWNLOAD:
                await self._close(row, "the service stopped before the download began")
                continue
            try:
                await submit(door, row)
            except DeploymentMissing as error:  # another method's requests need not wait for it
                logger.debug("Request waits", staging_request=row.id, reason=error.message)

    async def close_dropped(self) -> None:
        """Close the requests whose runs are over or gone, and whose writers are silent."""
        door = self._door
        stale = door.settings.reconcile_interval
        rows = await door.ask(unfinished_requests, stale=stale)
        runs = await door.prefect.read_flow_runs([row.flow_run_id for row in rows if row.flow_run_id])
        for row in rows:
            run = runs.get(row.flow_run_id or "")
            if run is None or run.is_over:
                await self._close(row, _ending(run), is_cancelled=run is not None and run.state == "CANCELLED")

    async def close_downloads(self) -> None:
        """Close the downloads whose door went away: their leases can be taken over."""
        door = self._door
        page = await door.ask(list_requests, method=DIRECT_DOWNLOAD, status=Status.STARTED)
        for row in page.requests:
            files = await door.ask(files_of, row.id)
            lease = door.settings.lease
            busy = await door.ask(acquire_leases, files, holder=self._name, seconds=lease)
            if not busy:
                await self._close(row, "the service stopped before the download ended")

    async def _close(self, row: StagingRequestRow, reason: str, *, is_cancelled: bool = False) -> None:
        door = self._door
        status = Status.CANCELLED if is_cancelled else Status.FAILED
        closed = await door.ask(fail_request, row.id, reason, status=status)
        logger.warning(
            "Request closed by the reconciler",
            staging_request=row.id,
            method=row.method,
            username=row.username,
            status=closed.status.value,
            reason=closed.error_reason,
        )

    def _note_trouble(self, reason: str) -> None:
        """Log once that something is away, and once that it is back."""
        if reason and not self._trouble:
            logger.warning("The reconciler waits", reason=reason)
        elif self._trouble and not reason:
            logger.info("The reconciler goes on", reason=self._trouble)
        self._trouble = reason


def _ending(run: FlowRun | None) -> str:
    """Return what became of a run, in plain words."""
    if run is None:
        return "the run was deleted in Prefect"
    words = {
        "CANCELLED": "the run was cancelled",
        "CRASHED": "the run crashed",
        "FAILED": "the run failed",
        "COMPLETED": "the run ended without saying what became of this",
    }
    return f"{words[run.state]}: {run.message}" if run.message else words[run.state]
