"""The cutting of large requests into shards, by items and bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from stager.settings import Settings

# Pieces of a request at most: with more, two become one, and what follows is cut into pieces twice as large.
MAX_PIECES = 1000
# More than a million items of the largest size have.
ENDLESS = 2**100


class Piece(NamedTuple):
    """The items of a shard: the position of the first and the one after the last, and their bytes as far as known."""

    first: int
    end: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class ShardLimits:
    """How many items a shard has at most, and how many bytes, where it has more than one item."""

    items: int
    size_bytes: int

    def after(self, pieces: int) -> ShardLimits:
        """Return the limits of what comes after so many pieces: they grow, and the last piece there may be has none."""
        if pieces >= MAX_PIECES:
            return ShardLimits(items=ENDLESS, size_bytes=ENDLESS)
        times = 2 ** (2 * pieces // MAX_PIECES)
        return ShardLimits(items=self.items * times, size_bytes=self.size_bytes * times)

    def hold(self, piece: Piece) -> bool:
        """Return whether a piece is within them."""
        return piece.end - piece.first <= self.items and piece.size_bytes <= self.size_bytes


def limits_of(settings: Settings) -> ShardLimits:
    """Return how large a shard of a request may be."""
    return ShardLimits(items=settings.shard_items, size_bytes=settings.shard_bytes)


def warm_limits_of(settings: Settings) -> ShardLimits:
    """Return how large one that a warm worker does may become: where there are pods, what is larger is for these."""
    limits = limits_of(settings)
    if settings.pods_namespace is None:
        return limits
    items, size_bytes = settings.pods_from_items - 1, settings.pods_from_bytes - 1
    return ShardLimits(items=min(limits.items, items), size_bytes=min(limits.size_bytes, size_bytes))


class Cutter:
    """Takes the sizes of a request's items one by one, so that a million are never held, and cuts it into pieces.

    Parameters
    ----------
    limits
        Of a piece; without any, the request is one.
    begun
        The first piece, as far as it is there already.
    """

    def __init__(self, limits: ShardLimits | None = None, begun: Piece | None = None) -> None:
        self._limits = limits
        self._pieces: list[Piece] = []
        self._piece = begun or Piece(0, 0, 0)

    def add(self, sizes: Iterable[int | None]) -> None:
        """Add the next items, by their sizes in bytes; None stands for one that is not known, and counts nothing."""
        for size in sizes:
            if self._is_full(size or 0):
                self._pieces.append(self._piece)
                self._piece = Piece(self._piece.end, self._piece.end, 0)
                self._keep_few()
            first, end, size_bytes = self._piece
            self._piece = Piece(first, end + 1, size_bytes + (size or 0))

    def pieces(self) -> list[Piece]:
        """Return the pieces, in the order of the items."""
        return [*self._pieces, self._piece]

    def _is_full(self, more: int) -> bool:
        first, end, size_bytes = self._piece
        if self._limits is None or end == first:
            return False
        return end - first >= self._limits.items or size_bytes + more > self._limits.size_bytes

    def _keep_few(self) -> None:
        if self._limits is None or len(self._pieces) < MAX_PIECES:
            return
        pairs = zip(self._pieces[::2], self._pieces[1::2], strict=True)
        self._pieces = [Piece(one.first, other.end, one.size_bytes + other.size_bytes) for one, other in pairs]
        self._limits = ShardLimits(items=self._limits.items * 2, size_bytes=self._limits.size_bytes * 2)
