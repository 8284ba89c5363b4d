"""Views of the records, as a caller sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from stager.checksums import ADLER32
from stager.http.examples import BEGAN, ENDED, REQUEST_ID
from stager.http.notebook_cell import cell_that_opens
from stager.models import DELIVERED, PathText, Status
from stager.records.tables import Event, StagedFile, StagingRequestRow
from stager.settings import Settings
from stager.vocabulary import Expand, OnConflict, Pool, Verify

RUN_ID = "6d4f9f0e-3c1b-4c8e-9d27-5b1a2f3e4c5d"


class View(BaseModel):
    """Base of the models that callers see."""

    model_config = ConfigDict(frozen=True)


class Progress(View):
    """How far an item is."""

    bytes_done: int = Field(examples=[2880])
    files_done: int = Field(examples=[1])


class ItemView(View):
    """One item of a request, and what became of it."""

    position: int = Field(description="Its position in the request, from 0.", examples=[0])
    source: PathText = Field(description="Path in the source area.", examples=["a.fits"])
    destination: PathText = Field(description="Path in the destination area.", examples=["night-1/a.fits"])
    status: Status = Field(examples=[Status.COMPLETED])
    error_reason: str | None = Field(description="Why it failed.")
    error_type: str | None = Field(description="The kind of error, as in the address /problems/KIND.")
    kind: Literal["file", "directory", "symlink"] | None = Field(
        description="Whether a file, a directory or a symbolic link was staged.", examples=["file"]
    )
    size_bytes: int | None = Field(examples=[2880])
    file_count: int | None = Field(examples=[1])
    expected_checksum: str | None = Field(description="What the source must have.", examples=["adler32:0a1b2c3d"])
    expand: Expand | None
    expanded_count: int | None = Field(description="Items that it became so far.")
    expanded_from: int | None = Field(description="Position of the item that became it.")
    checksum: str | None = Field(examples=["0a1b2c3d"])
    checksum_algorithm: Literal["adler32", "sha256"] | None = Field(examples=[ADLER32])
    left_writable: str | None = Field(description="Why it could not be made read-only.")
    left_unverified: str | None = Field(description="Why only the sizes of its files could be verified.")
    seen_at: PathText | None = Field(
        description="Its path as the user has it mounted, or as a notebook of theirs opens it; in a bucket s3://BUCKET/KEY.",
        examples=["/data/users/alice/night-1/a.fits"],
    )
    link: str | None = Field(description="Address that opens it in the user's JupyterLab.")
    code: str | None = Field(description="A cell for a notebook of theirs, which opens it.")
    progress: Progress
    started_at: datetime | None = Field(examples=[BEGAN])
    finished_at: datetime | None = Field(examples=[ENDED])


class RequestSummary(View):
    """A staging request, without its items."""

    request_id: str = Field(examples=[REQUEST_ID])
    method: str = Field(examples=["local_copy"])
    username: str = Field(examples=["alice"])
    source_area: str = Field(examples=["source"])
    destination_area: str = Field(examples=["user"])
    on_conflict: OnConflict = Field(examples=[OnConflict.SKIP_IDENTICAL])
    status: Status = Field(examples=[Status.COMPLETED])
    error_reason: str | None = Field(description="Why it failed or was cancelled.")
    origin: str = Field(description="How it came in: api, stage_data, prefect, tape or retry.", examples=["api"])
    retry_of: str | None = Field(description="The request that it is a retry of.")
    priority: int = Field(examples=[0])
    deadline: datetime | None = Field(description="What is not done by then is cancelled.")
    lifetime: int | None = Field(description="How long the delivery is wanted, in seconds.")
    expires_at: datetime | None = Field(description="When the lifetime ends, once the data are delivered.")
    note: str | None
    pool: Pool | None = Field(description="The pool that it asks for; null where the site's rule chooses.")
    verify: Verify | None
    item_count: int
    cancel_requested: bool = Field(description="Whether it was asked to cancel.")
    acting_as: str | None = Field(
        description="Account that the files are written as, in words.", examples=["alice (uid 1000)"]
    )
    flow_run_id: str | None = Field(
        description="Flow run in Prefect; of several, that of the first open shard, or of the last.",
        examples=[RUN_ID],
    )
    flow_run_url: str | None = Field(
        description="The page of that run.", examples=[f"https://staging.example.org/prefect/runs/flow-run/{RUN_ID}"]
    )
    created_at: datetime = Field(examples=[BEGAN])
    started_at: datetime | None = Field(examples=[BEGAN])
    finished_at: datetime | None = Field(examples=[ENDED])


class RequestView(RequestSummary):
    """A staging request with its items."""

    items: tuple[ItemView, ...] = Field(description="The items, in the order of the request.")
    next_item: int | None = Field(
        description="The position at which the next items begin (items_from); null after the last."
    )


class ItemPage(View):
    """Some items, in the order of the request."""

    items: tuple[ItemView, ...]
    next_cursor: int | None = Field(description="Cursor of the next page; null on the last.")


class EventView(View):
    """Why the state of a request changed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int = Field(description="A number that counts up over the events of all requests.")
    at: datetime = Field(examples=[BEGAN])
    kind: str = Field(description="What happened, in a word.", examples=["waiting"])
    detail: str = Field(description="What happened, in a sentence.", examples=["it waits for its turn"])
    cause: str | None = Field(
        description="Why, in a word: a kind of error, as in /problems/KIND, or what the request waits for.",
        examples=["WaitsForTurn"],
    )
    until: datetime | None = Field(description="When the wait ends, if that is known.")


class EventPage(View):
    """Some events of a request, in their order."""

    events: tuple[EventView, ...]
    next_cursor: int | None = Field(description="Cursor of the next page; null on the last.")


class Staged(View):
    """The demo's answer once the data are staged."""

    status: Literal["success"] = "success"
    message: str = Field(examples=["Data staged for user alice with method local_copy"])


class Accepted(View):
    """The answer when the outcome takes longer than the caller is kept waiting."""

    status: Literal[Status.SUBMITTED, Status.STARTED]
    message: str = Field(examples=[f"The request is submitted; see /requests/{REQUEST_ID} for its outcome"])
    request_id: str = Field(examples=[REQUEST_ID])


def summary_of(row: StagingRequestRow, settings: Settings) -> RequestSummary:
    """Return the view of a request's record, without its items."""
    return RequestSummary.model_validate(_facts(row, settings))


def view_of(
    row: StagingRequestRow, files: Sequence[StagedFile], *, settings: Settings, next_item: int | None
) -> RequestView:
    """Return the view of a request's record and some of its items."""
    items = [_item(file) for file in files]
    return RequestView.model_validate({**_facts(row, settings), "items": items, "next_item": next_item})


def items_of(files: Sequence[StagedFile], *, limit: int) -> ItemPage:
    """Return a page of items, given one more than fits if there are more."""
    more = files[limit - 1].position if len(files) > limit else None
    return ItemPage.model_validate({"items": [_item(file) for file in files[:limit]], "next_cursor": more})


def events_in(events: Sequence[Event], *, limit: int) -> EventPage:
    """Return a page of events, given one more than fits if there are more."""
    more = events[limit - 1].id if len(events) > limit else None
    return EventPage(events=tuple(EventView.model_validate(event) for event in events[:limit]), next_cursor=more)


def _facts(row: StagingRequestRow, settings: Settings) -> dict[str, object]:
    pages = settings.prefect_ui_url or settings.prefect_api_url.removesuffix("/api")
    run = row.flow_run_id
    facts = {name: getattr(row, name) for name in RequestSummary.model_fields if hasattr(row, name)}
    flow_run_url = f"{pages}/runs/flow-run/{run}" if run else None
    return {**facts, "request_id": row.id, "flow_run_url": flow_run_url}


def _item(file: StagedFile) -> dict[str, object]:
    facts = {name: getattr(file, name) for name in ItemView.model_fields if hasattr(file, name)}
    progress = Progress(bytes_done=file.bytes_done, files_done=file.files_done)
    expected = file.expected_checksum and str(file.expected_checksum)
    is_there = file.status in DELIVERED
    is_path = "://" not in (file.seen_at or "")
    return {
        **facts,
        "expected_checksum": expected,
        "destination": file.relative_path,
        "progress": progress,
        "link": file.link if is_there else None,
        "code": cell_that_opens(file.seen_at) if file.seen_at and is_there and is_path else None,
    }
