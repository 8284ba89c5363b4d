"""What is looked at from time to time while a request is done: items, memory, the records' size."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import psutil
from sqlalchemy import func, select

from benchmarks.stack import Stack
from stager.models import Status
from stager.records.tables import FILE

MIB = 1 << 20
STARTER = "stager.mover.starter"
SERVER = "Prefect's server"


class Look(NamedTuple):
    """How far a request was at a moment, and what the parts held, in MiB."""

    seconds: float
    items: int
    memory: dict[str, float]
    records_bytes: int


def done(made: Stack, request_id: str) -> int:
    """Return how many items of a request are completed."""
    query = select(func.count()).select_from(FILE)
    query = query.where(FILE.c.request_id == request_id, FILE.c.status == Status.COMPLETED)
    return made.database.read(lambda session: int(session.scalars(query).one()))


def _memory(found: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    """Return what each part holds, in MiB (RSS): of runs and movers the one that holds most."""
    return {name: max(map(_held, processes), default=0.0) for name, processes in found.items()}


def _held(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_info().rss) / MIB
    return 0.0


def _processes(made: Stack) -> dict[str, list[psutil.Process]]:
    found: dict[str, list[psutil.Process]] = {"service": [], "worker": [], "run": [], "mover": [], SERVER: []}
    with suppress(psutil.Error):
        found["service"] = psutil.Process(made.parts["http"].pid).children()
    with suppress(psutil.Error):
        found[SERVER] = [psutil.Process(made.parts["server"].pid)]
    with suppress(psutil.Error):
        worker = psutil.Process(made.parts["worker"].pid)
        found["worker"] = [worker]
        for child in worker.children():
            kind = "mover" if STARTER in " ".join(child.cmdline()) else "run"
            found[kind] += child.children()
    return found


def folder_bytes(folder: Path) -> int:
    """Return how long the files of a folder are in all, those that go meanwhile left out."""
    sizes = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sum(sizes)


@dataclass
class Watch:
    """Looks at a request every so often, in a thread of its own, until the block ends."""

    made: Stack
    request_id: str
    every: float
    records_bytes: Callable[[], int]
    looks: list[Look] = field(default_factory=list)
    # The processor's seconds of each process, at the first look that met it and at the last one, by its part and id.
    _spent: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(self.every)
            items, found = done(self.made, self.request_id), _processes(self.made)
            self.looks.append(Look(self.seconds(), items, _memory(found), self.records_bytes()))
            self._note_spent(found)

    def _note_spent(self, found: Mapping[str, Sequence[psutil.Process]]) -> None:
        for part, processes in found.items():
            for process in processes:
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    first, _ = self._spent.get((part, process.pid), (times.user + times.system, 0.0))
                    self._spent[part, process.pid] = first, times.user + times.system

    def processor_seconds(self, part: str) -> float:
        """Return what all processes of a part took of the processors between the first look and the last."""
        return sum(last - first for (name, _), (first, last) in self._spent.items() if name == part)

    def seconds(self) -> float:
        """Return how long it has looked."""
        return time.monotonic() - self._began

    def peak(self, part: str) -> float:
        """Return what a part held at most, in MiB."""
        return max(look.memory[part] for look in self.looks)

    def rates(self) -> Iterator[tuple[float, float]]:
        """Yield for each two looks the later's moment, and the items a second between; the last may come at once."""
        for before, after in pairwise(self.looks):
            if (seconds := after.seconds - before.seconds) > self.every / 2:
                yield after.seconds, (after.items - before.items) / seconds

    def standstill(self, *, after: float, until: float) -> float:
        """Return the longest time without a completed item that began, or went on, between two moments."""
        moments = [after]
        for before, look in pairwise(self.looks):
            if look.items > before.items and after < look.seconds <= until:
                moments.append(look.seconds)
        return max((late - early for early, late in pairwise(moments)), default=until - after)
