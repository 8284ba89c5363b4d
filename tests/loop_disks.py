"""Disks of the tests' own: a file behind a loop device, with a file system of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# None of them waits for work that a kernel thread would do later. XFS takes 300 MiB at least.
MAKERS = {
    "ext4": ["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-K", "-m", "reflink=1", "-l", "size=64m"],
    "btrfs": ["mkfs.btrfs", "-q", "-K"],
}


def missing_for(*systems: str) -> str:
    """Return what these file systems need that is not here, in words."""
    programs = [MAKERS[system][0] for system in systems if not shutil.which(MAKERS[system][0])]
    return "needs root" if os.geteuid() else f"needs {', '.join(programs)}" if programs else ""


def make_disk(image: Path, system: str, size_bytes: int) -> Path:
    """Make a disk in a sparse file."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run([*MAKERS[system], str(image)], check=True)
    return image


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    """Mount a disk beside its file while the body runs."""
    place = image.with_name(f"{image.name}.mounted")
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()
