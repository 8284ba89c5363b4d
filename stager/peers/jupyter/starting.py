"""A user's notebook server is started and stopped, and its hub's word waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx

from stager.errors import NotebookNotStarted, NotebookStarting, PeerError, PeerFault, PeerStalled
from stager.peers.answers import checked, refusal, words_of
from stager.peers.jupyter.hub import Hub
from stager.peers.jupyter.names import user_in_address
from stager.peers.jupyter.progress import Progress, events
from stager.peers.jupyter.server import ServerState

# How often a hub is asked whether something has come to an end, in seconds.
POLL_SECONDS = 0.5
_BEGUN = {httpx.codes.CREATED, httpx.codes.ACCEPTED}
_FINAL = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.TOO_MANY_REQUESTS}


def start(
    hub: Hub, username: str, name: str = "", *, within_seconds: float, on_progress: Callable[[Progress], None]
) -> ServerState:
    """Start a server unless it runs, and return it ready.

    Whether it has started is judged by the hub's word for it alone, never by
    the answer to the call, which may tell of a failure while the start goes on.
    A server that has died without the hub's notice is noticed by this call.

    Parameters
    ----------
    within_seconds
        How long it may take, with what is pending before.
    on_progress
        Called with what the hub tells meanwhile; what it raises ends the waiting, not the start.

    Raises
    ------
    NotebookNotStarted
        The hub could not start it.
    NotebookStarting
        The hub is still at it when the time is over, or at what it did before.
    PeerBusy
        The hub starts no more servers for now.
    NotebookUserUnknown, PeerError
        As by `Hub.look`.
    """
    deadline = time.monotonic() + within_seconds
    was_asked, against, last = False, None, ""
    while True:
        state = hub.look(username, name)
        if state.pending == "spawn":
            for progress in _progress_of(hub, state, deadline):
                on_progress(progress)
                last = progress.message
        elif state.pending:
            was_asked = False
        elif not was_asked:
            was_asked, against = True, _ask_to_start(hub, state)
            continue
        elif state.is_ready:
            return state
        else:
            raise _failure(hub, state, against)
        _wait(state, deadline, last)


def stop(hub: Hub, username: str, name: str = "", *, within_seconds: float) -> None:
    """Stop a server, and return when it is down.

    Raises
    ------
    NotebookStarting
        The hub is still at it when the time is over.
    NotebookUserUnknown, PeerError
        As by `Hub.look`.
    """
    deadline = time.monotonic() + within_seconds
    state = hub.look(username, name)
    if state.is_ready or state.pending:
        with suppress(PeerFault, PeerStalled):  # what counts is what it says afterwards
            checked(hub.ask("DELETE", _api_path(state)))
    while (state := hub.look(username, name)).is_ready or state.pending:
        _wait(state, deadline)


def _wait(state: ServerState, deadline: float, message: str = "") -> None:
    if time.monotonic() > deadline:
        told = f"its hub is at: {state.pending or 'stop'}; where that does not end, whoever runs the hub can end it"
        raise NotebookStarting(state.title, message or told)
    time.sleep(POLL_SECONDS)


def _failure(hub: Hub, state: ServerState, against: PeerError | None) -> PeerError:
    """Return why a server is down after a start: the hub tells it where it tells of progress."""
    if isinstance(against, (PeerFault, PeerStalled)):
        return against
    told = deque(_progress_of(hub, state, time.monotonic() + hub.calls.stall_seconds), maxlen=1)
    if told:
        return NotebookNotStarted(state.title, told[0].message)
    return against or NotebookNotStarted(state.title, "its hub does not say why")


def _ask_to_start(hub: Hub, state: ServerState) -> PeerError | None:
    """Ask for a start, and return what seems to be against it."""
    try:
        answer = hub.ask("POST", _api_path(state), {})
    except (PeerFault, PeerStalled) as error:
        return error
    if answer.status in _FINAL:
        raise refusal(answer)
    if answer.status in _BEGUN:
        return None
    if answer.is_success:  # no hub says so
        return PeerFault(answer.peer, f"somebody in its stead answers a start with {words_of(answer)}")
    return NotebookNotStarted(state.title, words_of(answer)) if answer.is_json else refusal(answer)


def _progress_of(hub: Hub, state: ServerState, deadline: float) -> Iterator[Progress]:
    """Yield what the hub tells of a start, until that ends; nothing where it does not tell."""
    address = hub.address(f"{_api_path(state)}/progress")
    headers = hub.headers | {"Accept": "text/event-stream"}
    left = deadline - time.monotonic()
    with (
        suppress(PeerFault, PeerStalled),
        hub.calls.stream("GET", address, peer=hub.title, headers=headers, within_seconds=left) as answer,
    ):
        yield from events(answer)


def _api_path(state: ServerState) -> str:
    user = f"users/{user_in_address(state.username)}"
    return f"{user}/servers/{user_in_address(state.name)}" if state.name else f"{user}/server"
