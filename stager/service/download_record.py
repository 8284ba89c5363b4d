"""The record of a download: begun, alive, ended."""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field

import structlog

from stager.errors import Cancelled, ServiceUnavailable, StagingError
from stager.models import Status
from stager.records import (
    FileChange,
    StagedFile,
    StagingRequestRow,
    acquire_leases,
    close_request,
    renew_leases,
    save_files,
    start_requests,
)
from stager.service.beside import beside
from stager.service.door import Door

DIRECT_DOWNLOAD = "direct_download"
# Not an area that exists: what is downloaded is no delivery of ours.
DOWNLOAD_AREA = "download"

logger = structlog.get_logger(__name__)


@dataclass(eq=False)
class DownloadRecord:
    """One file on its way to a client, and its record."""

    door: Door
    row: StagingRequestRow
    file: StagedFile
    holder: str = field(default_factory=lambda: f"{DIRECT_DOWNLOAD} {uuid.uuid4().hex}")
    bytes_sent: int = 0
    adler32: int = 1

    async def begin(self) -> None:
        """Write down that it has begun; from here on its lease says that it lives."""
        door = self.door
        await door.ask(acquire_leases, [self.file], holder=self.holder, seconds=door.settings.lease)
        acting_as = f"nobody: sent to the caller by user {os.geteuid()}"
        await door.ask(start_requests, [self.row.id], flow_run_id=None, acting_as=acting_as)

    async def end(self, error: StagingError | None) -> None:
        """Write down how it ended."""
        self._log(error)
        door = self.door
        change = self._failure(error) if error else self._success()
        is_cancelled = isinstance(error, Cancelled)
        await door.ask(save_files, [change], holder=self.holder)
        await door.ask(close_request, self.row.id, holder=self.holder, cancelled=is_cancelled)

    def kept_alive(self) -> AbstractAsyncContextManager[None]:
        """Renew the lease while the body runs."""
        return beside(self._renew(), name=f"lease of {self.row.id}")

    async def _renew(self) -> None:
        door, seconds = self.door, self.door.settings.lease
        while True:
            await asyncio.sleep(seconds / 4)
            with suppress(ServiceUnavailable):  # tried again soon; what is sent is sent
                await door.ask(renew_leases, holder=self.holder, seconds=seconds)

    def _success(self) -> FileChange:
        return FileChange(
            id=self.file.id,
            status=Status.COMPLETED,
            method=DIRECT_DOWNLOAD,
            kind="file",
            size_bytes=self.bytes_sent,
            file_count=1,
            checksum=f"{self.adler32:08x}",
            checksum_algorithm="adler32",
            bytes_done=self.bytes_sent,
            files_done=1,
        )

    def _failure(self, error: StagingError) -> FileChange:
        return FileChange(
            id=self.file.id,
            status=Status.CANCELLED if isinstance(error, Cancelled) else Status.FAILED,
            method=DIRECT_DOWNLOAD,
            error_reason=error.message,
            error_type=type(error).__name__,
            bytes_done=self.bytes_sent,
        )

    def _log(self, error: StagingError | None) -> None:
        logger.info("Download ended", bytes_sent=self.bytes_sent, reason=error.message if error else None)
