"""Stop signals, by which a run learns which of its requests and items to leave, and why."""

from __future__ import annotations

from collections.abc import Iterable

from stager.errors import Cancelled
from stager.records.database import Database
from stager.records.requests import files_to_stop, requests_to_stop


class Stop:
    """A signal that is set when a request, or one item of it, is to be left.

    Parameters
    ----------
    whole
        The request's, of which this is one item's: it is set with that.
    """

    def __init__(self, whole: Stop | None = None) -> None:
        self._whole = whole
        self._error: Cancelled | None = None

    def because(self, error: Cancelled) -> None:
        """Set the signal, and keep the reason."""
        self._error = error

    def is_set(self) -> bool:
        """Return whether the item is to be left, alone or with its request."""
        return self._error is not None or (self._whole is not None and self._whole.is_set())

    @property
    def error(self) -> Cancelled:
        """The reason why it is left."""
        if self._whole is not None and self._whole.is_set():
            return self._whole.error
        return self._error or Cancelled()


class Stops:
    """The stop signals of a run's requests and of the items that it works on."""

    def __init__(self, request_ids: Iterable[str]) -> None:
        self.requests: dict[str, Stop] = {}
        self.take(request_ids)
        # The requests that the run has begun: what befell one before, it has begun all the same.
        self.begun: set[str] = set()
        # The items of the current batch, by their ids.
        self.items: dict[int, Stop] = {}

    def take(self, request_ids: Iterable[str]) -> None:
        """Add requests that the run does too."""
        self.requests |= {request_id: Stop() for request_id in request_ids if request_id not in self.requests}

    def listen(self, database: Database, *, flow_run_id: str) -> None:
        """Set the signals of what was cancelled, or ended by another run."""
        going = [request_id for request_id in tuple(self.begun) if not self.requests[request_id].is_set()]
        for request_id, error in requests_to_stop(database, going, flow_run_id=flow_run_id).items():
            self.requests[request_id].because(error)
        items = {file_id: stop for file_id, stop in self.items.items() if not stop.is_set()}
        for file_id in files_to_stop(database, list(items)) if items else ():
            items[file_id].because(Cancelled())
