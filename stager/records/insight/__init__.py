"""What people look at: the progress of requests, how long they may take, and metrics."""

from stager.records.insight.estimate import Remainder, Sample, remainder_of, samples, under_expansion
from stager.records.insight.live import (
    LiveEvent,
    RequestProgress,
    missed_events,
    progress_of,
    settled_events,
    settled_position,
    started_requests,
)
from stager.records.insight.metrics import Backlog, Ending, Starting, backlogs, fold_endings, starting

__all__ = [
    "Backlog",
    "Ending",
    "LiveEvent",
    "Remainder",
    "RequestProgress",
    "Sample",
    "Starting",
    "backlogs",
    "fold_endings",
    "missed_events",
    "progress_of",
    "remainder_of",
    "samples",
    "settled_events",
    "settled_position",
    "started_requests",
    "starting",
    "under_expansion",
]
