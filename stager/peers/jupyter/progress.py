"""How far a hub is with a notebook server's start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

MAX_MESSAGE = 500
MAX_LINE_BYTES = 64 << 10


@dataclass(frozen=True)
class Progress:
    """What a hub tells of a start: a percentage, and a sentence."""

    percent: float
    message: str


def events(answer: httpx.Response) -> Iterator[Progress]:
    """Yield what a hub tells of a start, until it has ended or a line is none of a hub's.

    Notes
    -----
    JupyterHub sends ``text/event-stream`` with a JSON object in each ``data``
    line, the last of them with ``ready`` or ``failed``, and empty lines meanwhile.
    """
    if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    for event in map(_event, _lines(answer)):
        if event and not event.get("ready"):
            yield _progress(event)
        if event and (event.get("ready") or event.get("failed")):
            return


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    """Yield an answer's lines, up to the first that is too long."""
    begun = b""
    for piece in answer.iter_raw():
        *lines, begun = (begun + piece).split(b"\n")
        yield from lines
        if len(begun) > MAX_LINE_BYTES:
            return


def _event(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"data:"):
        return None
    try:
        event = json.loads(line.removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _progress(event: dict[str, Any]) -> Progress:
    percent, message = event.get("progress"), event.get("message")
    return Progress(
        percent if isinstance(percent, (int, float)) and 0 <= percent <= 100 else 0,  # noqa: PLR2004 - percent
        message[:MAX_MESSAGE] if isinstance(message, str) else "",
    )
