"""What a notebook server's refusals mean."""

from __future__ import annotations

import re

import httpx

from stager.errors import (
    DestinationReadOnly,
    HomeFull,
    NotebookNotRunning,
    NotebookTokenRefused,
    PeerFault,
    StagingError,
)
from stager.peers.answers import message_of, refusal, words_of
from stager.peers.http import Answer

_NO_ROOM = ("no space", "quota", "disk is full", "disk full")
# A file's name as Python writes it in the words of an error: a name may say anything.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def is_about_room(words: str) -> bool:
    """Return whether the words of an error say that there is no room; names of files in quotes say nothing."""
    said = _QUOTED.sub("", words).lower()
    return any(sign in said for sign in _NO_ROOM)


def refusal_about(path: str, answer: Answer) -> StagingError:
    """Return the error that a notebook server's answer about a path stands for, or its hub's in its stead."""
    words, said = words_of(answer), _said_beside(path, answer)
    is_of_hub = answer.status in {httpx.codes.FOUND, httpx.codes.FAILED_DEPENDENCY}
    if is_of_hub or (answer.status == httpx.codes.FORBIDDEN and not answer.is_json):
        return NotebookNotRunning(answer.peer, "its hub answers in its stead")
    if answer.status == httpx.codes.INSUFFICIENT_STORAGE or (
        httpx.codes.is_server_error(answer.status) and is_about_room(said)
    ):
        return HomeFull(path, words)
    if answer.status == httpx.codes.FORBIDDEN and "permission denied" in said.lower():
        return DestinationReadOnly(path, words)
    if answer.status == httpx.codes.FORBIDDEN:  # "'_xsrf' argument missing" is what it says then
        return NotebookTokenRefused(answer.peer, "its hub made it, and it does not count there, or no more")
    return refusal(answer)


def _said_beside(path: str, answer: Answer) -> str:
    """Return what a server says, without the path that it says it of."""
    try:
        return (message_of(answer) or "").replace(path, "")
    except PeerFault:
        return ""
