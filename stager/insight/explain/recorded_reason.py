"""The reason for a request's status, as far as our own records know it."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from stager.errors import MendedBy, readable
from stager.http.examples import BEGAN
from stager.http.problems import error_class
from stager.http.record_views import View
from stager.models import Status
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.tables import Event, StagedFile, StagingRequestRow

# Causes that are no errors, and who can mend each; any other cause is the name of an error class.
MENDED_BY: dict[str, MendedBy] = {
    "WaitsForTurn": "nobody",
    "HandedOver": "nobody",
    "QueuedInPrefect": "nobody",
    "LimitReached": "nobody",
    "RunStarting": "nobody",
    "NoWorker": "operator",
    "PoolPaused": "operator",
    "QueuePaused": "operator",
    "Working": "nobody",
    "Expanding": "nobody",
    "Sending": "nobody",
    "RunSilent": "nobody",
    "Stopping": "nobody",
    "Done": "nobody",
}
# Kinds of events that say what a request waits for, until the next event.
WAITS = ("retrying", "waiting", "starting", "pod", "resubmitted")
# How long an announced retry may take to show in the records.
RETRY_SHOWS_WITHIN = timedelta(seconds=5)


class Reason(View):
    """Why a request has its status."""

    cause: str = Field(
        description="The cause in a word: a kind of error, as in /problems/KIND, or what it waits for.",
        examples=["WaitsForTurn"],
    )
    message: str = Field(
        description="The cause in a sentence.", examples=["it waits for its turn, behind 0 other users"]
    )
    since: datetime = Field(description="Since when the cause holds.", examples=[BEGAN])
    until: datetime | None = Field(None, description="When the wait ends, if that is known.")
    mended_by: MendedBy = Field(
        description="Who can mend it: you, the operator, or nobody (wait).", examples=["nobody"]
    )


def reason(cause: str, message: str, *, since: datetime, until: datetime | None = None) -> Reason:
    """Return a reason, with who can mend it."""
    mended_by = MENDED_BY.get(cause) or error_class(cause).mended_by
    return Reason(cause=cause, message=message, since=since, until=until, mended_by=mended_by)


def recorded_reason(
    row: StagingRequestRow, event: Event | None, *, moment: datetime, since: datetime | None = None
) -> Reason:
    """Return why a request has its status, by its record and its newest event that says why.

    Parameters
    ----------
    moment
        Now: an announced try that is over counts no more.
    since
        Since when its events have had the same cause, if that is known.
    """
    if row.status.is_final:
        return _ended(row, event)
    if (
        event
        and event.kind in WAITS
        and event.cause
        and (event.until is None or event.until + RETRY_SHOWS_WITHIN > moment)
    ):
        return _waiting(event, event.cause, moment=moment, since=since or event.at)
    if row.status is Status.SUBMITTED:
        return _not_begun(row)
    return _begun(row, event, moment=moment)


def expanding(item: StagedFile, *, since: datetime) -> Reason:
    """Return why a request has its status while its run lists what an item stands for."""
    listed = f"its run lists {readable(item.source)}, which item {item.position} asks for file by file"
    return reason("Expanding", f"{listed}; {item.expanded_count or 0} items were added so far", since=since)


def _waiting(event: Event, cause: str, *, moment: datetime, since: datetime) -> Reason:
    is_long = event.kind == "starting" or since < event.at
    said = f"{event.detail}, since {max(0.0, (moment - since).total_seconds()):.0f} s" if is_long else event.detail
    return reason(cause, said, since=since, until=event.until)


def _begun(row: StagingRequestRow, event: Event | None, *, moment: datetime) -> Reason:
    since, silent_since = row.started_at or row.created_at, row.alive_until
    who = "the service that sends it" if row.method == DIRECT_DOWNLOAD else "its run"
    if silent_since and silent_since + RETRY_SHOWS_WITHIN < moment:
        return reason("RunSilent", f"{who} has sent no heartbeat since {silent_since:%F %T} UTC", since=silent_since)
    if row.cancel_requested:
        return reason("Stopping", f"{who} was asked to stop", since=event.at if event else since)
    if row.method == DIRECT_DOWNLOAD:
        return reason("Sending", "its bytes are being sent to the caller", since=since)
    return reason("Working", "its run is working on it", since=since)


def _ended(row: StagingRequestRow, event: Event | None) -> Reason:
    since = row.finished_at or row.created_at
    if row.error_reason is None:
        words = {Status.SKIPPED: "it was there already"}
        return reason("Done", words.get(row.status, "it was delivered"), since=since)
    return reason((event and event.cause) or "StagingError", row.error_reason, since=since)


def _not_begun(row: StagingRequestRow) -> Reason:
    if row.flow_run_id:
        return reason("HandedOver", "Prefect has its run", since=row.flow_run_at or row.created_at)
    if row.run_key:
        return reason("HandedOver", "it is about to be handed to Prefect", since=row.flow_run_at or row.created_at)
    return reason("WaitsForTurn", "it waits for its turn", since=row.created_at)
