"""The load of shards, by which the pool is chosen that they run in."""

from __future__ import annotations

from dataclasses import dataclass

from stager.vocabulary import Pool


@dataclass(frozen=True, kw_only=True)
class Load:
    """The load of a shard: its items and bytes, and where its request wants it.

    Attributes
    ----------
    items
        How many files and directories.
    size_bytes
        Their sizes together, as far as the request says them.
    wanted_pool
        The pool that the request asks for, if it does.
    """

    items: int
    size_bytes: int
    wanted_pool: Pool | None = None
