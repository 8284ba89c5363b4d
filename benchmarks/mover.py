"""The mover beside cp, rsync, rclone and shutil, in turns, on one file system.

``python -m benchmarks.mover FOLDER`` works in FOLDER and prints a table. Each
rival is followed by ``sync -f``, since ours is durable at its end.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from stager import engine
from stager.paths import locate

ROUNDS = 5
FILE_BYTES = 1 << 30
SMALL_FILES, SMALL_BYTES, FOLDERS = 20_000, 4096, 100

Copy = Callable[[Path, Path], object]


def ours(source: Path, destination: Path) -> None:
    """Survey, transfer, seal, flush and publish, as a flow does."""
    there, here = locate(source.parent, source.name), locate(destination.parent, destination.name)
    mine = engine.Ownership(uid=None, gid=None)
    control = engine.Control(lambda _bytes, _files: None, threading.Event())
    staged = engine.transfer(there, here, survey=engine.survey(there), ownership=mine, control=control)
    engine.seal(staged, mine)
    engine.flush([staged])
    engine.publish(staged, replace=False, confirm=lambda: None)
    engine.discard(staged)


def program(*command: str) -> Copy:
    """Return a rival that is a program."""

    def copy(source: Path, destination: Path) -> None:
        subprocess.run([*command, str(source), str(destination)], check=True, capture_output=True)
        subprocess.run(["sync", "-f", str(destination)], check=True)

    return copy


def python_copy(source: Path, destination: Path) -> None:
    """Copy by shutil."""
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, destination)
    subprocess.run(["sync", "-f", str(destination)], check=True)


def rivals(*, is_tree: bool) -> dict[str, Copy]:
    """Return ours and those of the rivals that are installed."""
    found: dict[str, Copy] = {"ours": ours, "cp": program("cp", "-r")}
    if is_tree:
        found["shutil.copytree"] = python_copy
        if shutil.which("rsync"):
            found["rsync -a"] = lambda source, destination: program("rsync", "-a")(Path(f"{source}/"), destination)
        if shutil.which("rclone"):
            found["rclone copy"] = program("rclone", "copy")
    return found


def remove(path: Path) -> None:
    """Remove a copy, read-only folders included."""
    subprocess.run(["chmod", "-R", "u+w", str(path)], check=True)
    subprocess.run(["rm", "-rf", str(path)], check=True)


def measure(source: Path, folder: Path) -> dict[str, list[float]]:
    """Return each rival's seconds, taken in turns after a round that does not count."""
    seconds: dict[str, list[float]] = {}
    for turn in range(ROUNDS + 1):
        for name, copy in rivals(is_tree=source.is_dir()).items():
            destination = folder / f"copy-{turn}"
            began = time.perf_counter()
            copy(source, destination)
            if turn:
                seconds.setdefault(name, []).append(time.perf_counter() - began)
            remove(destination)
    return seconds


def show(title: str, seconds: dict[str, list[float]]) -> None:
    """Print a table: medians, and each rival's time over ours."""
    own = statistics.median(seconds["ours"])
    print(f"\n{title}\n\n| | median s | range s | its time / ours |\n|---|---|---|---|")
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        print(f"| {name} | {middle:.3f} | {min(runs):.3f} to {max(runs):.3f} | {middle / own:.2f} |")


def main() -> None:
    """Make the sources, measure, print."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as name:
        folder = Path(name)
        tree = folder / "tree"
        for number in range(SMALL_FILES):
            path = tree / f"{number % FOLDERS:03}" / f"{number:05}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes([number % 256]) * SMALL_BYTES)
        show(f"{SMALL_FILES:,} files of {SMALL_BYTES} bytes", measure(tree, folder))
        big = folder / "big"
        with big.open("wb") as file:
            for number in range(FILE_BYTES >> 20):
                file.write(bytes([number % 256]) * (1 << 20))
        show("one file of 1 GiB", measure(big, folder))


if __name__ == "__main__":
    main()
