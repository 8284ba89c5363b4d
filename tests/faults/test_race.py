"""Somebody swaps folders for symbolic links as fast as they can; nothing outside is touched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import REPOSITORY, Stager, facts

DURATION = 10.0  # seconds at least, three times
SECRET = b"secret"
PUBLIC = b"public"

# Exchanges each folder with the link beside it and back, without end: in bursts as fast as it can, or one
# at a time, and rests between them with everything in its place.
SWAP = """
import os, random, sys, time
from stager.engine.kernel import rename_exchange
pairs = [(os.open(folder, os.O_RDONLY), name.encode(), other.encode())
         for folder, name, other in (pair.split(":") for pair in sys.argv[2:])]
burst = int(sys.argv[1])
while True:
    for _ in range(random.randint(1, burst)):
        for pair in pairs:
            rename_exchange(*pair)
        for pair in random.sample(pairs, len(pairs)):
            rename_exchange(*pair)
    time.sleep(random.random() * REST)
"""
REST = 0.02  # seconds at most
# The kernel has no openat2: the way is walked by component.
WITHOUT_OPENAT2 = ("-o", "/dev/null", "-e", "trace=openat2", "-e", "inject=openat2:error=ENOSYS")


@contextmanager
def swapping(burst: int, *pairs: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", SWAP.replace("REST", str(REST)), str(burst), *pairs], cwd=REPOSITORY
    )
    try:
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def make_product(folder: Path, content: bytes) -> None:
    (folder / "sub/tree/inner").mkdir(parents=True)
    for name in ("file", "tree/a", "tree/inner/b"):
        (folder / "sub" / name).write_bytes(content * 100)


@pytest.fixture
def places(folder: Path) -> dict[str, Path]:
    """Two areas, and an outside that looks like both."""
    named = {name: folder / name for name in ("source", "user", "outside")}
    make_product(named["source"] / "data", PUBLIC)
    make_product(named["outside"], SECRET)
    (named["outside"] / "deep").mkdir()
    (named["user"] / "alice/deep").mkdir(parents=True)
    (named["source"] / "link").symlink_to(named["outside"])
    (named["source"] / "data/other").symlink_to(named["outside"] / "sub")
    (named["source"] / "data/sub/tree/other").symlink_to("inner")
    (named["user"] / "link").symlink_to("../outside")
    (named["user"] / "alice/link").symlink_to(named["outside"] / "deep")
    return named


@pytest.mark.parametrize(
    ("burst", "stagings", "trace"),
    [(2_000, 1_500, ()), (1, 1_500, ()), (100, 250, WITHOUT_OPENAT2)],
    ids=["in long bursts", "one at a time", "without openat2"],
)
def test_nothing_outside_is_read_or_touched_while_components_are_swapped(
    stager: Stager, places: dict[str, Path], burst: int, stagings: int, trace: tuple[str, ...]
) -> None:
    outside = facts(places["outside"])
    pairs = [
        f"{places['source']}:data:link",
        f"{places['source']}/data:sub:other",
        f"{places['user']}:alice:link",
        f"{places['user']}/alice:deep:link",
    ]
    outcomes: Counter[str | None] = Counter()
    with swapping(burst, *pairs):
        end = time.monotonic() + DURATION
        while time.monotonic() < end or outcomes.total() < stagings:
            number = outcomes.total()
            outcomes[stager.stage(order(places, number), *trace).error] += 1
    delivered = [path for path in places["user"].rglob("*") if path.is_file() and not path.is_symlink()]
    assert facts(places["outside"]) == outside
    assert not [path for path in delivered if SECRET in path.read_bytes()]
    assert delivered
    assert outcomes[None]
    assert len(outcomes) > 1, "nothing was ever in the way"
    print(outcomes)  # noqa: T201 - the figures, with -s


def order(places: dict[str, Path], number: int) -> dict[str, Any]:
    """Return one for a product, or half the time for several whose folders are the same."""
    made = f"alice/deep/made{number % 3}/{number}"
    more = {f"data/sub/{name}": f"{made}-{name[-1]}" for name in ("tree/a", "tree/inner", "tree/inner/b")}
    return {
        "source_area": str(places["source"]),
        "destination_area": str(places["user"]),
        "source": f"data/sub/{('file', 'tree')[number % 2]}",
        "destination": made,
        "more": more if number // 2 % 2 else {},
    }
