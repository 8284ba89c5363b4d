"""A run that says that it lives, and listens for who wants a request of it stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stager.records import Database, renew_leases, renew_requests, requests_to_stop
from tasks.background import repeated

# Seconds between two looks for what is to be stopped.
INTERVAL = 0.5


@contextmanager
def alive(
    database: Database, stops: Mapping[str, threading.Event], *, flow_run_id: str, holder: str, lease: float
) -> Iterator[None]:
    """Keep a run's requests and leases alive while the body runs.

    Parameters
    ----------
    stops
        What says that a request is to be left, by its id: set when somebody
        asked that it be cancelled, or ended it in our place.
    holder
        Whose leases are renewed, as in ``acquire_leases``.
    flow_run_id
        The run.
    lease
        How long the run is taken to live unless it renews that, in seconds.
    """

    def renew() -> None:
        renew_requests(database, list(stops), seconds=lease)
        renew_leases(database, holder=holder, seconds=lease)

    def listen() -> None:
        going = [request_id for request_id, stop in stops.items() if not stop.is_set()]
        for request_id in requests_to_stop(database, going, flow_run_id=flow_run_id):
            stops[request_id].set()

    renew()
    with (
        repeated(renew, interval=lease / 3, name="lease renewal"),
        repeated(listen, interval=INTERVAL, name="listening for cancellation"),
    ):
        yield
