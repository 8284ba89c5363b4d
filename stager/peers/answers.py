"""What an answer that is no success means, where it means the same for every server."""

from __future__ import annotations

from typing import Any

import httpx

from stager.errors import PeerBodyLimit, PeerBusy, PeerError, PeerFault, PeerRefused
from stager.peers.http import Answer

# As many characters of a server's own words as a message has.
MAX_WORDS = 300


def message_of(answer: Answer) -> str | None:
    """Return what a server says of its failure for people, whole; None where it says nothing.

    Raises
    ------
    PeerFault
        It is no such JSON as its form says.
    """
    said: dict[str, Any] = answer.object() if answer.is_json else {}
    message = said.get("message") or said.get("reason")
    return message if isinstance(message, str) else None


def words_of(answer: Answer) -> str:
    """Return what a server says of its failure, by its status where it says nothing for people."""
    try:
        message = message_of(answer)
    except PeerFault as error:
        return error.reason
    if message is not None:
        return f"{message[:MAX_WORDS]} ({answer.status})"
    form = "" if answer.is_json or not answer.content else f", with {answer.media_type or 'no form named'}"
    return f"it answers {answer.status} {httpx.codes.get_reason_phrase(answer.status)}".rstrip() + form


def refusal(answer: Answer) -> PeerError:
    """Return the error that a server's answer stands for."""
    words = words_of(answer)
    match answer.status:
        case 429:
            return PeerBusy(answer.peer, words, retry_after=answer.retry_after)
        case 413:
            return PeerBodyLimit(answer.peer, words)
        case 404 if not answer.is_json:  # a proxy that knows no way there, as it does when it has just started
            return PeerFault(answer.peer, f"{words}: it is not what answers there")
        case status if httpx.codes.is_redirect(status):
            return PeerFault(answer.peer, f"{words}: it sends us elsewhere, which is not followed")
        case status if httpx.codes.is_server_error(status):
            return PeerFault(answer.peer, words, retry_after=answer.retry_after)
        case _:
            return PeerRefused(answer.peer, words)


def checked(answer: Answer) -> Answer:
    """Return an answer that is a success; what another stands for is raised."""
    if not answer.is_success:
        raise refusal(answer)
    return answer
