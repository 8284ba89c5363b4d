"""A staging needs no more memory for many files than for few (benchmarks/memory.py measures a million)."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Areas

FILES = 50  # of one directory, whose names are held at a time
SLACK_BYTES = 100_000  # eleven for each file that is more


def make_tree(top: Path, directories: int) -> None:
    for number in range(directories):
        (top / f"{number:03}").mkdir(parents=True)
        for name in range(FILES):
            (top / f"{number:03}/{name}").touch()


def peak_of(areas: Areas, name: str) -> int:
    """Return the peak of a staging, in bytes."""
    tracemalloc.start()
    try:
        areas.stage(name, name, on_file=None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_files_need_no_more_memory_than_few(areas: Areas) -> None:
    make_tree(areas.source / "few", 20)
    make_tree(areas.source / "many", 200)
    make_tree(areas.source / "first", 1)
    peak_of(areas, "first")  # what is loaded once does not count
    few, many = peak_of(areas, "few"), peak_of(areas, "many")
    assert many < few + SLACK_BYTES
