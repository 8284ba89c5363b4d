"""The notebook servers that a batch brings data to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from stager.errors import NotebookNotRunning, PeerError
from stager.methods.notebook_path import NotebookPath
from stager.peers.jupyter import Contents, Hub, HubConnection, start, stop

Server = tuple[str, str]


class NotebookServers:
    """The notebook servers of a hub: each is started, and gives its files, when it is first needed.

    Parameters
    ----------
    connection
        What the operator says of the hub.
    """

    def __init__(self, connection: HubConnection, hub: Hub) -> None:
        self._hub = hub
        self._connection = connection
        self._running: dict[Server, Contents] = {}
        self._starting = threading.Lock()
        self._held = ExitStack()

    def close(self) -> None:
        """Give the tokens back, and stop what was started here where the operator wants that."""
        self._held.close()

    @contextmanager
    def contents(self, place: NotebookPath) -> Iterator[Contents]:
        """Give the files of a place's server; one that turns out to be down is started again by the next call.

        Raises
        ------
        NotebookNotRunning
            It is down, and the site does not want it to be started.
        StagingError
            As by `start` and `Hub.token_for`.
        """
        server = place.username, place.server
        with self._starting:
            if server not in self._running:
                self._running[server] = self._started(place)
            contents = self._running[server]
        try:
            yield contents
        except NotebookNotRunning:
            with self._starting:
                if self._running.get(server) is contents:
                    del self._running[server]
            raise

    def running(self, place: NotebookPath) -> Contents | None:
        """Return the files of a server that is running for all that is known here."""
        return self._running.get((place.username, place.server))

    def _started(self, place: NotebookPath) -> Contents:
        state = self._hub.look(place.username, place.server)
        if not state.is_ready and not self._connection.starts_servers:
            raise NotebookNotRunning(state.title, "start it, and ask again")
        if not state.is_ready and self._connection.stops_servers:
            self._held.callback(partial(self._stop, place))
        within = self._connection.start_seconds
        state = start(self._hub, place.username, place.server, within_seconds=within, on_progress=lambda _: None)
        token = self._held.enter_context(self._hub.token_for(state))
        contents = Contents(self._hub.calls, state, token)
        self._held.callback(contents.close)
        return contents

    def _stop(self, place: NotebookPath) -> None:
        with suppress(PeerError):  # its hub culls it
            stop(self._hub, place.username, place.server, within_seconds=self._connection.start_seconds)
