"""Requests as a list shows them, each with a short reason for its status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field

from stager.http.examples import ENDED
from stager.http.record_views import RequestSummary, View, summary_of
from stager.insight.explain.recorded_reason import Reason, recorded_reason
from stager.records.tables import Event, StagingRequestRow
from stager.settings import Settings


class RequestListEntry(RequestSummary):
    """A staging request in a list."""

    why: Reason = Field(
        description="Why it has this status, by our records alone; /explain asks Prefect too.",
        examples=[{"cause": "Done", "message": "it was delivered", "since": ENDED, "mended_by": "nobody"}],
    )


class RequestPage(View):
    """Some requests, newest first."""

    requests: tuple[RequestListEntry, ...]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last.")


def listed(
    rows: Sequence[StagingRequestRow], events: Mapping[str, Event], *, settings: Settings
) -> tuple[RequestListEntry, ...]:
    """Return requests as a list shows them, given the newest event of each."""
    moment = datetime.now(UTC)
    return tuple(
        RequestListEntry(
            **summary_of(row, settings).model_dump(), why=recorded_reason(row, events.get(row.id), moment=moment)
        )
        for row in rows
    )
