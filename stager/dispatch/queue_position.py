"""The position of a flow run in Prefect's queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# Prefect's name for the state of a run that waits for its deployment's concurrency limit.
AWAITS_SLOT = "AwaitingConcurrencySlot"


@dataclass(frozen=True)
class RunQueue:
    """A work pool, or one of its queues: whether runs leave it, and how many may be under way at a time."""

    name: str
    is_paused: bool
    limit: int | None
    under_way: int

    @property
    def is_full(self) -> bool:
        """Whether as many runs are under way as may be."""
        return self.limit is not None and self.under_way >= self.limit


@dataclass(frozen=True)
class PoolWorker:
    """A worker that polls a work pool for runs, and when it last did."""

    name: str
    seen: datetime


@dataclass(frozen=True)
class QueuePosition:
    """The state of a run that has not begun, its queues, and the worker that may take it."""

    state: str
    name: str
    message: str
    since: datetime
    pool: RunQueue | None = None
    queue: RunQueue | None = None
    worker: PoolWorker | None = None
    ahead: int = 0
