"""Counts and histograms of ended requests."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

from prometheus_client.utils import floatToGoString

from stager.models import Status
from stager.records.insight import Ending

MIB, GIB = 1024**2, 1024**3
SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43_200, 172_800)
BYTES = (64 * 1024, MIB, 16 * MIB, 256 * MIB, GIB, 16 * GIB, 128 * GIB, 1024 * GIB, 16_384 * GIB)
FILES = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)


@dataclass
class Histogram:
    """A count of values up to each bound, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many values are up to each bound, as Prometheus counts."""
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


@dataclass
class Tally:
    """The endings of requests in figures, by method, hub, status and kind of error."""

    endings: Counter[tuple[str, ...]] = field(default_factory=Counter)
    seconds: defaultdict[tuple[str, ...], Histogram] = field(default_factory=lambda: defaultdict(_seconds))
    bytes_done: defaultdict[tuple[str, ...], Histogram] = field(default_factory=lambda: defaultdict(_bytes))
    files_done: defaultdict[tuple[str, ...], Histogram] = field(default_factory=lambda: defaultdict(_files))

    def with_more(self, endings: Iterable[Ending]) -> Self:
        """Return another tally, with some more endings counted."""
        more = deepcopy(self)
        for ending in endings:
            more.add(ending)
        return more

    def add(self, ending: Ending) -> None:
        """Count one ended request; its bytes and files count if it succeeded."""
        by = ending.method, ending.hub
        self.endings[*by, ending.status, ending.reason] += 1
        self.seconds[*by, ending.status].add(ending.seconds)
        if ending.status is Status.COMPLETED:
            self.bytes_done[by].add(ending.bytes_done)
            self.files_done[by].add(ending.files_done)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


def _bytes() -> Histogram:
    return Histogram(BYTES)


def _files() -> Histogram:
    return Histogram(FILES)
