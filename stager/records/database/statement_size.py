"""How many rows one statement asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
# Rows that one statement asks for at most.
ROWS_AT_ONCE = 1000


def chunks(sequence: Sequence[T], size: int = ROWS_AT_ONCE) -> Iterator[Sequence[T]]:
    """Return a sequence in pieces for one statement each."""
    return (sequence[start : start + size] for start in range(0, len(sequence), size))
