"""How far a hub is with a notebook server's start."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

MAX_MESSAGE = 500


@dataclass(frozen=True)
class Progress:
    """What a hub tells of a start: a percentage, and a sentence."""

    percent: float
    message: str


def events(answer: httpx.Response, deadline: float) -> Iterator[Progress]:
    """Yield what a hub tells of a start, until it has ended or the time is over.

    Notes
    -----
    JupyterHub sends ``text/event-stream`` with a JSON object in each ``data``
    line, the last of them with ``ready`` or ``failed``, and empty lines meanwhile.
    """
    if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
        return
    for line in answer.iter_lines():
        event = _event(line)
        if event and not event.get("ready"):
            percent = event.get("progress")
            yield Progress(percent if isinstance(percent, (int, float)) else 0, str(event.get("message"))[:MAX_MESSAGE])
        if (event and (event.get("ready") or event.get("failed"))) or time.monotonic() > deadline:
            return


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("data:"):
        return None
    try:
        event = json.loads(line.removeprefix("data:"))
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
