"""Waits of a soak: as long as what is left becomes less, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.patience import PATIENCE

POLL_SECONDS = 0.2


def left_after_waiting(count: Callable[[], int]) -> int:
    """Wait until nothing is left, and return 0; or how much is, once it has not become less for `PATIENCE` seconds."""
    last, since = 0, time.monotonic()
    while left := count():
        if left < last:
            since = time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            break
        last = left
        time.sleep(POLL_SECONDS)
    return left
