"""What is copied, and the file systems that it is on."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 1 << 20
OPTIONS = {"ext4": ("-E", "lazy_itable_init=0,lazy_journal_init=0")}  # nothing is left to do behind a measurement
IMAGE_BYTES = 16 << 30  # sparse; room for the inodes of all rounds


def make_file(path: Path, size_bytes: int) -> Path:
    """Write a file, each MiB of it of another byte."""
    with path.open("wb") as file:
        for number in range(size_bytes // MIB):
            file.write(bytes([number % 256]) * MIB)
    return path


def make_tree(top: Path, *, files: int, size_bytes: int, per_folder: int) -> Path:
    """Write a tree of small files, one level of folders deep."""
    for first in range(0, files, per_folder):
        folder = top / f"{first // per_folder:04}"
        folder.mkdir(parents=True)
        for number in range(first, min(first + per_folder, files)):
            (folder / f"{number:07}").write_bytes(bytes([number % 256]) * size_bytes)
    return top


@contextmanager
def loop_mounted(kind: str, folder: Path) -> Iterator[Path]:
    """Give a fresh file system of a kind, in an image in a folder; it needs root."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        image, place = Path(name) / "image", Path(name) / "mounted"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        command = [f"mkfs.{kind}", "-q", *OPTIONS.get(kind, ()), str(image)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)
