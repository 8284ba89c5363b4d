"""Where a flow run stands in Prefect's queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# What Prefect calls a run that waits because of its deployment's concurrency limit.
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
        """As many are under way as may be."""
        return self.limit is not None and self.under_way >= self.limit


@dataclass(frozen=True)
class PoolWorker:
    """Who asks for runs of a work pool, and when they last did."""

    name: str
    seen: datetime


@dataclass(frozen=True)
class QueuePosition:
    """Where a run that has not begun stands, and whether anybody will take it."""

    state: str
    name: str
    message: str
    since: datetime
    pool: RunQueue | None = None
    queue: RunQueue | None = None
    worker: PoolWorker | None = None
    ahead: int = 0
