"""Bodies of the Tape REST API's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from stager.http.examples import MILLISECONDS, REQUEST_ID
from stager.models import Status
from stager.records.tables import StagedFile, StagingRequestRow
from stager.settings import Settings
from stager.tape.paths import AnyText

BASE = "/api/v1"
ABOUT = "Brings data products to users' areas: checked, verified, read-only"
# How long a client should wait between two polls of a request, in seconds.
POLL_INTERVAL_SECONDS = 5
# The standard has no word for skipped: the file is there, as after a staging.
STATES: dict[Status, Literal["SUBMITTED", "STARTED", "CANCELLED", "FAILED", "COMPLETED"]] = {
    Status.SUBMITTED: "SUBMITTED",
    Status.STARTED: "STARTED",
    Status.CANCELLED: "CANCELLED",
    Status.FAILED: "FAILED",
    Status.SKIPPED: "COMPLETED",
    Status.COMPLETED: "COMPLETED",
}


class TapeResponseBody(BaseModel):
    """An answer, whose members are named as in the standard."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Limits(TapeResponseBody):
    """How much a client may ask for."""

    max_entries: int = Field(
        description="Files in one request, and paths that one /archiveinfo looks at.", examples=[10_000]
    )
    max_open_requests: int = Field(description="Requests of one user that may be in flight.", examples=[10_000])
    min_poll_seconds: int = Field(
        description="Time between two polls of a request, in seconds.", examples=[POLL_INTERVAL_SECONDS]
    )
    retention_seconds: int | None = Field(description="How long a request can be polled; null: until it is deleted.")


class EndpointMetadata(TapeResponseBody):
    """What this endpoint offers beyond what the standard requires."""

    limits: Limits
    supports_since: Literal[True] = Field(default=True, description="GET /stage/{id}?since= tells only what is new.")


class Endpoint(TapeResponseBody):
    """The address of a version of the API."""

    uri: str = Field(examples=[f"https://staging.example.org{BASE}"])
    version: Literal["v1"] = "v1"
    metadata: EndpointMetadata


class WellKnown(TapeResponseBody):
    """The addresses of the API, and the site's name."""

    sitename: str = Field(examples=["staging.example.org"])
    description: str = Field(examples=[ABOUT])
    endpoints: tuple[Endpoint, ...]


class StageCreated(TapeResponseBody):
    """A stage request was recorded."""

    request_id: str = Field(examples=[REQUEST_ID])


class StageFileState(TapeResponseBody):
    """The state of a file of a stage request; what is not known yet is left out."""

    path: AnyText = Field(examples=["/a.fits"])
    state: Literal["SUBMITTED", "STARTED", "CANCELLED", "FAILED", "COMPLETED"] = Field(examples=["COMPLETED"])
    started_at: int | None = Field(None, description="Milliseconds since 1970.", examples=[MILLISECONDS])
    finished_at: int | None = Field(None, description="Milliseconds since 1970.", examples=[MILLISECONDS])
    error: str | None = Field(None, description="Why the file is not there.")


class StageState(TapeResponseBody):
    """The state of a stage request. Times are in milliseconds since 1970."""

    id: str = Field(examples=[REQUEST_ID])
    created_at: int = Field(examples=[MILLISECONDS])
    started_at: int = Field(description="When its first file began; until then, createdAt.", examples=[MILLISECONDS])
    completed_at: int | None = Field(None, description="When its last file ended.", examples=[MILLISECONDS])
    as_of: int = Field(
        description="Pass it as since, and the next answer has only what is new; not in the standard.",
        examples=[MILLISECONDS],
    )
    files: tuple[StageFileState, ...]


class Locality(StrEnum):
    """Where a file's data are: the storage is the tape, the user's area the disk."""

    TAPE = "TAPE"
    DISK = "DISK"
    DISK_AND_TAPE = "DISK_AND_TAPE"
    UNAVAILABLE = "UNAVAILABLE"


class ArchiveInfo(TapeResponseBody):
    """Where a file is, or why that is not known."""

    path: AnyText = Field(examples=["/a.fits"])
    locality: Locality | None = Field(None, examples=[Locality.DISK_AND_TAPE])
    error: str | None = None


def well_known(settings: Settings) -> WellKnown:
    """Return the document by which clients discover the API."""
    limits = Limits(
        max_entries=settings.max_items_in_body,
        max_open_requests=settings.max_open_requests,
        min_poll_seconds=POLL_INTERVAL_SECONDS,
        retention_seconds=None,
    )
    endpoint = Endpoint(uri=address(settings), metadata=EndpointMetadata(limits=limits))
    return WellKnown(sitename=settings.site_name, description=ABOUT, endpoints=(endpoint,))


def address(settings: Settings, path: str = "") -> str:
    """Return the full address of something in the API."""
    return f"{settings.public_url}{BASE}{path}"


def stage_state(row: StagingRequestRow, files: Sequence[StagedFile], *, as_of: datetime) -> StageState:
    """Return the state of a request and some of its files."""
    return StageState(
        id=row.id,
        created_at=milliseconds(row.created_at),
        started_at=milliseconds(row.started_at or row.created_at),
        completed_at=row.finished_at and milliseconds(row.finished_at),
        as_of=milliseconds(as_of),
        files=tuple(_file_state(file) for file in files),
    )


def milliseconds(moment: datetime) -> int:
    """Return a moment in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def _file_state(file: StagedFile) -> StageFileState:
    is_there = STATES[file.status] == "COMPLETED"
    return StageFileState(
        path=json.loads(file.targeted_metadata or "{}").get("path", f"/{file.local_path_on_storage}"),
        state=STATES[file.status],
        started_at=file.started_at and milliseconds(file.started_at),
        finished_at=file.finished_at and milliseconds(file.finished_at),
        error=None if is_there or not file.status.is_final else file.error_reason or f"It was {file.status.value}",
    )
