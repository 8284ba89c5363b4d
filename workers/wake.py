"""What wakes the warm worker: Prefect's events, which arrive before any poll would notice a run."""

from __future__ import annotations

import logging

import anyio
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter

logger = logging.getLogger(__name__)

# After the stream of events has broken and could not be joined again, in seconds.
RECONNECT_SECONDS = 5.0
# A run enters one of these states when it may be taken up.
WAITING = ("Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming", "Late")


class Alarm:
    """Rings when there may be a flow run to take up; rung many times, it is heard once."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake who waits, now or when they next wait."""
        self._rung.set()

    async def heard(self) -> None:
        """Return at the next ring, or at once if it has rung since the last."""
        await self._rung.wait()
        self._rung = anyio.Event()


async def ring_when_scheduled(alarm: Alarm, *, work_pool: str) -> None:
    """Ring at each flow run that is scheduled in a work pool, for ever.

    While the stream of events is down the worker's own polls do its work, as
    they do when the stream is silent.
    """
    wanted = EventFilter(
        event=EventNameFilter(name=[f"prefect.flow-run.{state}" for state in WAITING]),
        related=EventRelatedFilter(
            labels={"prefect.resource.role": "work-pool", "prefect.resource.name": work_pool},
        ),
    )
    is_heard = True
    while True:
        try:
            async with get_events_subscriber(filter=wanted) as events:
                alarm.ring()  # for what was scheduled while nobody listened
                async for _ in events:
                    is_heard = True
                    alarm.ring()
            reason: object = "the server has closed the stream"
        except Exception as error:  # noqa: BLE001 - whatever it is, polling goes on and the stream may come back
            reason = error
        if is_heard:
            logger.warning("Prefect's events are not heard, the worker polls: %s", reason)
        is_heard = False
        await anyio.sleep(RECONNECT_SECONDS)
