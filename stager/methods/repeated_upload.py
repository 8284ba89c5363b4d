"""A file of many, which is sent again after a call that broke: the others need not be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from stager.errors import PeerBusy, PeerFault, PeerNotReachable, PeerStalled
from stager.peers.jupyter import Uploaded

OnBytes = Callable[[int], None]
# How long to wait before each try after the first, in seconds, and at most where the server says how long.
DELAYS_SECONDS = (1.0, 5.0, 20.0)
LONGEST_DELAY_SECONDS = 600.0
# How often to look whether to go on waiting.
_POLL_SECONDS = 0.2


class Upload(Protocol):
    """An upload, which may be done again."""

    def __call__(self, *, on_bytes: OnBytes) -> Uploaded:
        """Do it, and call ``on_bytes`` with the length of each piece that has arrived."""


def repeated(upload: Upload, *, on_bytes: OnBytes) -> Uploaded:
    """Do an upload, and do it again as a whole, some times, where the server may take it then.

    Parameters
    ----------
    on_bytes
        Called with the same lengths, but for what was counted in an earlier try, and with 0 while nothing
        is done; what it raises ends that.

    Raises
    ------
    StagingError
        As by ``upload``: what no other try mends, or the error of the last.
    """
    progress = _Progress(on_bytes)
    for delay in DELAYS_SECONDS:
        try:
            return upload(on_bytes=progress.begun())
        except (PeerBusy, PeerFault, PeerNotReachable, PeerStalled) as error:
            _wait(min(error.retry_after or delay, LONGEST_DELAY_SECONDS), on_bytes)
    return upload(on_bytes=progress.begun())


class _Progress:
    """Counts each byte once, however often it is sent."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._arrived = 0
        self._counted = 0

    def begun(self) -> OnBytes:
        self._arrived = 0
        return self._count

    def _count(self, size_bytes: int) -> None:
        self._arrived += size_bytes
        new = max(0, self._arrived - self._counted)
        self._counted += new
        self._on_bytes(new)


def _wait(seconds: float, on_bytes: OnBytes) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        on_bytes(0)
        time.sleep(_POLL_SECONDS)
