"""Waking of the warm worker by Prefect's events, which arrive before a poll would find a run."""

from __future__ import annotations

import logging

import anyio
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter

logger = logging.getLogger(__name__)

# Seconds to wait before connecting again to a stream of events that broke.
RECONNECT_SECONDS = 5.0
# The states of runs that may be taken up.
WAITING = ("Scheduled", "AwaitingRetry", "AwaitingConcurrencySlot", "Resuming", "Late")


class Alarm:
    """An alarm that there may be a flow run to take up; several rings are heard as one."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the one who waits, or who waits next."""
        self._rung.set()

    async def heard(self) -> None:
        """Wait for the next ring; return at once if it has rung since the last wait."""
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
            logger.warning("Could not listen to Prefect's events; the worker polls until it can: %s", reason)
        is_heard = False
        await anyio.sleep(RECONNECT_SECONDS)
