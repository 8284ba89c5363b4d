"""What people look at: requests as they go on, how long they may take, and figures of many."""

from stager.records.insight.estimate import (
    Remainder,
    Sample,
    Wait,
    last_events,
    note_waits,
    remainder_of,
    samples,
    wait_for,
)
from stager.records.insight.live import (
    LiveEvent,
    RequestProgress,
    missed_events,
    progress_of,
    settled_events,
    settled_position,
    started_requests,
)
from stager.records.insight.metrics import Backlog, Ending, backlogs, database_time, fold_endings

__all__ = [
    "Backlog",
    "Ending",
    "LiveEvent",
    "Remainder",
    "RequestProgress",
    "Sample",
    "Wait",
    "backlogs",
    "database_time",
    "fold_endings",
    "last_events",
    "missed_events",
    "note_waits",
    "progress_of",
    "remainder_of",
    "samples",
    "settled_events",
    "settled_position",
    "started_requests",
    "wait_for",
]
