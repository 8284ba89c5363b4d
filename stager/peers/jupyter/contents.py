"""The files that a notebook server shows, by its contents API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx
from pydantic import SecretStr

from stager.errors import (
    DestinationDiffers,
    DestinationExists,
    DestinationTampered,
    NotebookNotRunning,
    PeerFault,
)
from stager.peers.http import Answer, Calls, whole
from stager.peers.jupyter.entry import Entry, entry_of
from stager.peers.jupyter.listing import listed
from stager.peers.jupyter.names import check_path, in_address
from stager.peers.jupyter.refusals import refusal_about
from stager.peers.jupyter.server import ServerState

# At this rate at least a server reads a file for its checksum, in bytes a second; meanwhile it is silent.
HASH_RATE = 20 << 20
# How much a server may show of a directory that is removed, and how deep.
MAX_REMOVED = 200_000
MAX_DEPTH = 100


class Contents:
    """The files of a notebook server that runs.

    Parameters
    ----------
    state
        Where the server is.
    token
        That counts there: `Hub.token_for`, or one of its user's own.

    Attributes
    ----------
    piece_bytes
        How much of a file is sent at once; `upload` makes it less where a
        server, or what stands before it, does not take so much.

    Notes
    -----
    Every method raises NameNotTaken of a path that the server would refuse, before
    anything is sent; NotebookNotRunning of a server that is down, whichever way that shows;
    HomeFull where there is no room; and `PeerError` where there is no answer or none as it should be.
    """

    def __init__(self, calls: Calls, state: ServerState, token: SecretStr, *, piece_bytes: int = 4 << 20) -> None:
        if state.url is None:
            raise NotebookNotRunning(state.title, "it has no address")
        self.calls = calls
        self.url = state.url
        self.title = state.title
        self.piece_bytes = piece_bytes
        self.headers: dict[str, str] = {}
        self._token = token
        self._authorize()

    def look(self, path: str) -> Entry | None:
        """Return what is at a path, None where nothing is."""
        return self._entry_at(path, "content=0")

    def look_with_checksum(self, path: str, *, size_bytes: int) -> Entry | None:
        """Return what is at a file's path with its SHA-256, for which the server reads it."""
        stall = self.calls.stall_seconds + size_bytes / HASH_RATE
        return self._entry_at(path, "content=0&type=file&hash=1", stall_seconds=stall)

    def list(self, path: str) -> list[Entry]:
        """Return what the server shows of a directory; ``""`` is its uppermost."""
        url = f"{self._address(path)}?content=1&type=directory"
        self._authorize()
        with self.calls.stream("GET", url, peer=self.title, headers=self.headers) as answer:
            if not answer.is_success:
                raise refusal_about(path, whole(answer, self.title))
            return [entry_of(each, self.title) for each in listed(answer.iter_raw(), self.title)]

    def make_directories(self, path: str, *, on_made: Callable[[str], None] = lambda _: None) -> None:
        """Make a directory, and those that it is in; what is there already stays.

        Parameters
        ----------
        on_made
            Called with the path of each that was not there, the uppermost first.
        """
        check_path(path)
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            above = "/".join(names[:depth])
            found = self.look(above)
            if found is None:
                self._make_unless_others_do(above, on_made)
            elif not found.is_directory:
                raise DestinationDiffers(above, "it is no directory")

    def _make_unless_others_do(self, path: str, on_made: Callable[[str], None]) -> None:
        try:
            self.make_directory(path)
            on_made(path)
        except PeerFault:  # of two that make one at once, the server tells one that it failed
            found = self.look(path)
            if found is None or not found.is_directory:
                raise

    def make_directory(self, path: str) -> None:
        """Make a directory in one that exists; one that is there already stays."""
        self._checked(self._ask("PUT", path, body={"type": "directory"}), path)

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if nothing is in it, and return whether it is gone.

        Notes
        -----
        Of what the server does not show, it says that the directory is not empty,
        unless it moves to the trash what is removed: a notebook server of a hub's does not.
        """
        if self.look(path) is None:
            return True
        return not self.list(path) and self._ask("DELETE", path).is_success

    def put(self, path: str, body: Iterable[bytes], *, body_bytes: int) -> Entry:
        """Send a part of a file, as JSON that is made on the way, and return what is at its path then."""
        sent = {"Content-Type": "application/json", "Content-Length": str(body_bytes)}
        url = self._address(path)
        self._authorize()
        answer = self.calls.ask("PUT", url, peer=self.title, headers=self.headers | sent, content=body)
        return entry_of(self._checked(answer, path).object(), self.title)

    def rename(self, path: str, to: str) -> Entry:
        """Give a file or a directory another name, and return what is there then.

        The server makes a hidden folder for checkpoints beside it, which stays empty.

        Raises
        ------
        DestinationExists
            Something has that name; nothing was changed.
        DestinationTampered
            Nothing has the old name any more.
        """
        check_path(to)
        answer = self._ask("PATCH", path, body={"path": to})
        if answer.status == httpx.codes.CONFLICT:
            raise DestinationExists(to)
        if answer.status == httpx.codes.NOT_FOUND and answer.is_json:
            raise DestinationTampered(path, "it is gone")
        return entry_of(self._checked(answer, path).object(), self.title)

    def delete(self, path: str, *, on_each: Callable[[], None] = lambda: None) -> None:
        """Remove a file, or a directory with all that the server shows in it; what is gone already is as well.

        Parameters
        ----------
        on_each
            Called before each file and directory; what it raises ends the removal.

        Raises
        ------
        PeerFault
            The server shows more than `MAX_REMOVED` files and directories, or deeper ones than `MAX_DEPTH`.
        """
        entry = self.look(path)
        left = MAX_REMOVED

        def remove(path: str, depth: int, *, is_directory: bool) -> None:
            nonlocal left
            on_each()
            if is_directory:
                inside = self.list(path)
                left -= len(inside)
                if left < 0 or depth > MAX_DEPTH:
                    raise PeerFault(self.title, f"it shows more in a directory than is removed at once, at {path!r}")
                for each in inside:
                    remove(f"{path}/{each.name}", depth + 1, is_directory=each.is_directory)
            answer = self._ask("DELETE", path)
            if answer.status != httpx.codes.NOT_FOUND or not answer.is_json:
                self._checked(answer, path)

        if entry is not None:
            remove(path, 0, is_directory=entry.is_directory)

    def _entry_at(self, path: str, query: str, *, stall_seconds: float | None = None) -> Entry | None:
        answer = self._ask("GET", path, query, stall_seconds=stall_seconds)
        if answer.status == httpx.codes.NOT_FOUND and answer.is_json:
            return None
        return entry_of(self._checked(answer, path).object(), self.title)

    def _ask(
        self,
        verb: str,
        path: str,
        query: str = "",
        *,
        body: dict[str, Any] | None = None,
        stall_seconds: float | None = None,
    ) -> Answer:
        url = self._address(path) + (f"?{query}" if query else "")
        self._authorize()
        return self.calls.ask(
            verb,
            url,
            peer=self.title,
            headers=self.headers,
            body=body,
            stall_seconds=stall_seconds,
        )

    def _authorize(self) -> None:
        """Have the token in the headers that counts by now."""
        self.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"

    def _address(self, path: str) -> str:
        if path:
            check_path(path)  # else ".." would be another address
        return f"{self.url}api/contents/{in_address(path)}"

    def _checked(self, answer: Answer, path: str) -> Answer:
        if not answer.is_success:
            raise refusal_about(path, answer)
        return answer
