"""A staging needs no more memory for many files than for few (benchmarks/memory.py measures a million)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.conftest import Areas

HERE = Path(__file__).parent
FILES = 50  # of one directory, whose names are held at a time
SLACK_BYTES = 100_000  # eleven for each file that is more


def make_tree(top: Path, directories: int) -> None:
    for number in range(directories):
        (top / f"{number:03}").mkdir(parents=True)
        for name in range(FILES):
            (top / f"{number:03}/{name}").touch()


# A process of its own: tracemalloc counts every thread's memory, servers of other tests have theirs in this one.
PEAKS = """
import sys, tracemalloc
from pathlib import Path
from conftest import Areas

areas = Areas(Path(sys.argv[1]), Path(sys.argv[2]))
for name in "first", "few", "many":
    tracemalloc.start()
    areas.stage(name, name, on_file=None)
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


@pytest.mark.any_python
def test_many_files_need_no_more_memory_than_few(areas: Areas) -> None:
    make_tree(areas.source / "first", 1)  # what is loaded once does not count
    make_tree(areas.source / "few", 20)
    make_tree(areas.source / "many", 200)
    command = [sys.executable, "-c", PEAKS, str(areas.source), str(areas.destination)]
    paths = {"PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}
    said = subprocess.run(command, env={**os.environ, **paths}, check=True, stdout=subprocess.PIPE, text=True).stdout
    _, few, many = map(int, said.split())
    assert many < few + SLACK_BYTES
