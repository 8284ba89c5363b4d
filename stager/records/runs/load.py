"""The load of shards: it decides in which work pool they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a shard: its items and bytes.

    Attributes
    ----------
    items
        How many files and directories.
    size_bytes
        Their sizes together, as far as the request says them.
    """

    items: int
    size_bytes: int

    def is_over(self, *, items: int, size_bytes: int) -> bool:
        """Return whether the load reaches either limit."""
        return self.items >= items or self.size_bytes >= size_bytes
