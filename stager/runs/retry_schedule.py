"""When what may pass is tried again: a step of a batch, and the user's folder before the first."""

from __future__ import annotations

# Seconds before the second, third and fourth try: long enough for a storage
# server to fail over.
RETRY_DELAYS_SECONDS = [2.0, 10.0, 30.0]


def delay_after(tries: int) -> float | None:
    """Return how long after so many tries the next one comes, in seconds; None when there is no other."""
    return RETRY_DELAYS_SECONDS[tries - 1] if tries <= len(RETRY_DELAYS_SECONDS) else None
