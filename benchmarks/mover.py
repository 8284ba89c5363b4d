"""The mover beside cp, rsync, rclone and shutil, in turns, on one file system at a time.

``python -m benchmarks.mover MEMORY DISK`` works in a folder of each kind,
as root, and writes its tables into docs/reference/speed/mover.md, between the two marks there.
Where other work is on the machine, ``chrt -f 1`` before it keeps that work out
of the figures, for ours and rivals alike.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures_page import write_figures
from benchmarks.memory import peak_of
from benchmarks.rivals import Copy, copying, remove, sharing
from benchmarks.sources import MIB, loop_mounted, make_file, make_tree

ROUNDS = 5
FILE_BYTES = 1024 * MIB
SMALL_FILES, SMALL_BYTES, PER_FOLDER = 20_000, 4096, 200
MANY_FILES, MANY_PER_FOLDER = 1_000_000, 1000
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "speed" / "mover.md"

Seconds = dict[str, list[float]]


def measure(source: Path, copies: dict[str, Copy]) -> Seconds:
    """Return each one's seconds, taken in turns after a round that does not count; each turn begins with another.

    A tree's copies stay to the end, and on ext4 begin on an empty file system:
    it is slow to make files where as many were removed in the last minutes.
    """
    seconds: Seconds = {name: [] for name in copies}
    for turn in range(ROUNDS + 1):
        order = [*copies][turn % len(copies) :] + [*copies][: turn % len(copies)]
        for number, name in enumerate(order):
            destination = source.with_name(f"copy-{turn}-{number}")
            began = time.perf_counter()
            copies[name](source, destination)
            if turn:
                seconds[name].append(time.perf_counter() - began)
            if source.is_file():
                remove(destination)
    return seconds


def table(title: str, seconds: Seconds) -> Iterator[str]:
    """Yield a table's lines: medians, and each rival's time over ours."""
    own = statistics.median(seconds["ours"])
    yield f"\n### {title}\n\n| | median s | range s | its time / ours |\n|---|---|---|---|"
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        yield f"| {name} | {middle:.3f} | {min(runs):.3f} to {max(runs):.3f} | {middle / own:.2f} |"


def small_files(folder: Path, kind: str, copies: Callable[[Path], dict[str, Copy]]) -> Iterator[str]:
    """Yield the table of a tree of small files."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        tree = make_tree(Path(name) / "tree", files=SMALL_FILES, size_bytes=SMALL_BYTES, per_folder=PER_FOLDER)
        yield from table(f"{SMALL_FILES:,} files of {SMALL_BYTES} bytes, {kind}", measure(tree, copies(tree)))


def large_file(folder: Path, kind: str, copies: Callable[[Path], dict[str, Copy]]) -> Iterator[str]:
    """Yield the table of one large file."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = make_file(Path(name) / "file", FILE_BYTES)
        yield from table(f"One file of {FILE_BYTES // MIB} MiB, {kind}", measure(file, copies(file)))


def memory(folder: Path) -> Iterator[str]:
    """Yield the table of peak memory."""
    yield "\n### Peak memory over the interpreter\n\n| | MiB |\n|---|---|"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        top = Path(name)
        file = make_file(top / "file", FILE_BYTES)
        yield f"| one file of {FILE_BYTES // MIB} MiB | {peak_of(file, top / 'file-copy') / MIB:.1f} |"
        tree = make_tree(top / "tree", files=MANY_FILES, size_bytes=0, per_folder=MANY_PER_FOLDER)
        yield f"| a tree of {MANY_FILES:,} files | {peak_of(tree, top / 'tree-copy') / MIB:.1f} |"


def figures(in_memory: Path, on_disk: Path) -> Iterator[str]:
    """Yield all tables, and what they were measured on."""
    load = os.getloadavg()[0]
    alone = "" if os.sched_getscheduler(0) == os.SCHED_OTHER else ", all at real-time priority"
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f} before{alone}.\n"
        f"Medians of {ROUNDS} rounds in turns, after one to warm up."
    )
    yield from small_files(in_memory, "tmpfs", copying)
    yield from large_file(in_memory, "tmpfs", copying)
    with loop_mounted("ext4", on_disk) as place:
        yield from small_files(place, "ext4", copying)
    yield from large_file(on_disk, "the disk", copying)
    for kind in ("xfs", "btrfs"):
        with loop_mounted(kind, on_disk) as place:
            yield from small_files(place, f"{kind} with reflinks", sharing)
            yield from large_file(place, f"{kind} with reflinks", sharing)
    yield from memory(in_memory)


def main() -> None:
    """Measure, print, and write between the marks of the page."""
    write_figures(PAGE, figures(Path(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
