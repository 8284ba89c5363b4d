"""The schedule of retries: of a batch's step, and of opening the user's folder before the first step."""

from __future__ import annotations

# Seconds before the second, third and fourth try: long enough for a storage
# server to fail over.
RETRY_DELAYS_SECONDS = [2.0, 10.0, 30.0]


def delay_after(tries: int) -> float | None:
    """Return the delay in seconds before the next try after so many; None when there is no further try."""
    return RETRY_DELAYS_SECONDS[tries - 1] if tries <= len(RETRY_DELAYS_SECONDS) else None
