"""What a notebook server's refusals mean."""

from __future__ import annotations

import httpx

from stager.errors import DestinationReadOnly, HomeFull, NotebookNotRunning, NotebookTokenRefused, StagingError
from stager.peers.answers import refusal, words_of
from stager.peers.http import Answer

_NO_ROOM = ("no space", "quota", "disk is full", "disk full")


def refusal_about(path: str, answer: Answer) -> StagingError:
    """Return the error that a notebook server's answer about a path stands for, or its hub's in its stead."""
    words = words_of(answer)
    is_of_hub = answer.status in {httpx.codes.FOUND, httpx.codes.FAILED_DEPENDENCY}
    if is_of_hub or (answer.status == httpx.codes.FORBIDDEN and not answer.is_json):
        return NotebookNotRunning(answer.peer, "its hub answers in its stead")
    if answer.status == httpx.codes.INSUFFICIENT_STORAGE or (
        httpx.codes.is_server_error(answer.status) and any(sign in words.lower() for sign in _NO_ROOM)
    ):
        return HomeFull(path, words)
    if answer.status == httpx.codes.FORBIDDEN and "permission denied" in words.lower():
        return DestinationReadOnly(path, words)
    if answer.status == httpx.codes.FORBIDDEN:  # "'_xsrf' argument missing" is what it says then
        return NotebookTokenRefused(answer.peer, "its hub made it, and it does not count there, or no more")
    return refusal(answer)
