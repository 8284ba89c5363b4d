"""The heartbeat of a run, which also listens for cancellations of its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from stager.records.database import Database
from stager.records.leases import renew_leases
from stager.records.requests import renew_requests
from stager.runs.repeated import repeated
from stager.runs.stop import Stops

# Seconds between two polls for cancellations.
STOP_POLL_SECONDS = 0.5


@contextmanager
def alive(database: Database, stops: Stops, *, flow_run_id: str, holder: str, lease: float) -> Iterator[None]:
    """Keep a run's requests and leases alive while the body runs.

    Parameters
    ----------
    stops
        The run's requests and items: what somebody asked to cancel, or ended
        in our place, is set.
    holder
        Whose leases are renewed, as in ``acquire_leases``.
    flow_run_id
        The run.
    lease
        How long the run is taken to live unless it renews that, in seconds.
    """

    def say() -> None:
        renew_requests(database, list(stops.requests), seconds=lease, flow_run_id=flow_run_id)

    def renew() -> None:
        say()
        renew_leases(database, holder=holder, seconds=lease)

    listen = partial(stops.listen, database, flow_run_id=flow_run_id)
    say()  # who writes takes its leases for as long
    with (
        repeated(renew, interval=lease / 3, name="lease renewal"),
        repeated(listen, interval=STOP_POLL_SECONDS, name="listening for cancellation"),
    ):
        yield
