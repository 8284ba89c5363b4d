"""What a finished run leaves in Prefect's pages: a table of the result and a link to the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from humanize import naturalsize
from prefect.artifacts import create_link_artifact, create_table_artifact

from stager.errors import readable
from stager.models import Status
from stager.records import Database, StagedFile, StagingRequestRow, files_of
from stager.settings import get_settings
from tasks.shown import shown_if_possible

# Rows of a table that a person still reads; the record has them all.
MAX_ROWS = 200


def report(database: Database, requests: Sequence[StagingRequestRow]) -> None:
    """Write a table of each request's items, and a link to its record."""
    with shown_if_possible():
        for request in requests:
            _report(database, request)


def _report(database: Database, request: StagingRequestRow) -> None:
    link = f"{get_settings().public_url}/requests/{request.id}"
    create_link_artifact(link, link_text=f"Record {request.id}", description=f"Request of {request.username}")
    files = files_of(database, request.id)
    create_table_artifact(_table(files), description=_heading(request, files))


def _heading(request: StagingRequestRow, files: Sequence[StagedFile]) -> str:
    more = f" (the first {MAX_ROWS} of {len(files)} items, failures first)" if len(files) > MAX_ROWS else ""
    return f"**{request.method} for {request.username}: {request.status}**{more}"


def _table(files: Sequence[StagedFile]) -> list[dict[str, Any]]:
    failures_first = sorted(files, key=lambda file: file.status not in (Status.FAILED, Status.CANCELLED))
    return [_row(file) for file in failures_first[:MAX_ROWS]]


def _row(file: StagedFile) -> dict[str, Any]:
    return {
        "Source": readable(file.local_path_on_storage),
        "Destination": readable(file.relative_path),
        "Status": str(file.status),
        "Size": "" if file.size_bytes is None else naturalsize(file.size_bytes),
        "Files": "" if file.file_count is None else str(file.file_count),
        "Checksum": f"{file.checksum_algorithm}:{file.checksum}" if file.checksum else "",
        "Reason": file.error_reason or "",
    }
