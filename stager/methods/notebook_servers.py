"""The notebook servers that a batch brings data to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from stager.errors import NotebookNotRunning, NotebookStarting, NotebookTokenRefused, PeerError, printable
from stager.methods.method import OnWait
from stager.methods.notebook_path import NotebookPath
from stager.methods.notebook_room import NotebookRoom
from stager.peers.connections import checked_while_waiting
from stager.peers.jupyter import Contents, Hub, HubConnection, Progress, ServerState, start, stop
from stager.records.events import Wait

# How long a stop is waited for, in seconds: the hub goes on with it all the same.
STOP_SECONDS = 10.0
# How many different sentences of a hub's about one start are told.
MOST_TOLD = 30

Server = tuple[str, str]


class NotebookServers:
    """The notebook servers of a hub: each that is reached gives its files.

    Parameters
    ----------
    connection
        What the operator says of the hub.
    """

    def __init__(self, connection: HubConnection, hub: Hub) -> None:
        self._hub = hub
        self._connection = connection
        self._running: dict[Server, Contents] = {}
        self._rooms: dict[Server, NotebookRoom] = {}
        self._looking = threading.Lock()
        self._held = ExitStack()

    def close(self) -> None:
        """Give the tokens back, and stop what was started here where the operator wants that."""
        self._held.close()

    def reach(self, places: Iterable[NotebookPath], *, on_wait: OnWait, check: Callable[[], None]) -> None:
        """Have the servers of some places running; one that is down is started, if the site wants that.

        Raises
        ------
        NotebookNotRunning
            It is down, and the site does not want it to be started.
        StagingError
            As by `start` and `Hub.token_for`; and what ``check`` raises.
        """
        for place in places:
            server = place.username, place.server
            if server not in self._running:
                with checked_while_waiting(check):
                    state = self._started(place, on_wait)
                self._running[server] = self._contents(state)

    @contextmanager
    def contents(self, place: NotebookPath) -> Iterator[Contents]:
        """Give the files of a place's server, if that runs; it is not started for them.

        A token that turns out not to count there, or no more, is replaced by the next call.

        Raises
        ------
        NotebookNotRunning
            It is down.
        StagingError
            As by `Hub.look` and `Hub.token_for`.
        """
        server = place.username, place.server
        with self._looking:
            if server not in self._running:
                self._running[server] = self._contents(self._ready(place))
            contents = self._running[server]
        try:
            yield contents
        except (NotebookNotRunning, NotebookTokenRefused):
            with self._looking:
                if self._running.get(server) is contents:
                    del self._running[server]
            raise

    def room(self, place: NotebookPath) -> NotebookRoom:
        """Return the room at a place's server, which all uploads of the batch share."""
        return self._rooms.setdefault((place.username, place.server), NotebookRoom())

    def running(self, place: NotebookPath) -> Contents | None:
        """Return the files of a server that is running for all that is known here."""
        return self._running.get((place.username, place.server))

    def _contents(self, state: ServerState) -> Contents:
        contents = Contents(self._hub.calls, state, self._held.enter_context(self._hub.token_for(state)))
        self._held.callback(contents.close)
        return contents

    def _ready(self, place: NotebookPath) -> ServerState:
        state = self._hub.look(place.username, place.server)
        if not state.is_ready:
            raise NotebookNotRunning(state.title, "start it, and ask again")
        return state

    def _started(self, place: NotebookPath, on_wait: OnWait) -> ServerState:
        if not self._connection.starts_servers:
            return self._ready(place)
        state = self._hub.look(place.username, place.server)
        told = _Told(state.title, on_wait)
        if not state.is_ready:
            told.tell("")
            if self._connection.stops_servers and state.pending is None:  # else somebody else starts it
                self._held.callback(partial(self._stop, place))
        started = start(
            self._hub,
            place.username,
            place.server,
            within_seconds=self._connection.start_seconds,
            on_progress=lambda progress: told.tell(_in_words(progress)),
        )
        told.end()
        return started

    def _stop(self, place: NotebookPath) -> None:
        with suppress(PeerError):  # its hub culls it
            stop(self._hub, place.username, place.server, within_seconds=STOP_SECONDS)


class _Told:
    """What was told of one start: nothing twice, whatever its hub repeats."""

    def __init__(self, title: str, on_wait: OnWait) -> None:
        self._title = title
        self._on_wait = on_wait
        self._told: set[str] = set()

    def tell(self, words: str) -> None:
        """Tell how far it is."""
        if words not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(words)
            detail = printable(f"{self._title} is starting{words}")
            self._on_wait(Wait(NotebookStarting.__name__, detail))

    def end(self) -> None:
        """Tell that it runs, if anything was told."""
        if self._told:
            self._on_wait(None)


def _in_words(progress: Progress) -> str:
    return f": {progress.message} ({progress.percent:.0f} %)" if progress.message else ""
