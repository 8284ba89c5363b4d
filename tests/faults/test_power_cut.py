"""The power is cut: what a disk has at that moment, mounted again, holds nothing of a product or the whole.

The disk is a file behind a loop device. A copy of that file is what a disk keeps whose power is cut: without
what was still in memory. What a disk's own cache loses in spite of a flush cannot be shown so.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Stager, facts
from tests.loop_disks import make_disk, missing_for, mounted

pytestmark = pytest.mark.skipif(bool(missing_for("ext4")), reason=missing_for("ext4") or "-")

DISK_BYTES = 64 << 20
FLUSHES = "fsync,syncfs,renameat2"
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)


@pytest.fixture
def image(folder: Path) -> Path:
    """A disk with an ext4 file system."""
    return make_disk(folder / "disk", "ext4", DISK_BYTES)


def make_product(area: Path, kind: str) -> None:
    area.mkdir()
    if kind == "file":
        (area / "product").write_bytes(b"data" * 100_000)
        return
    (area / "product/inner").mkdir(parents=True)
    for number in range(50):
        (area / f"product/inner/{number}").write_bytes(str(number).encode() * 1000)


def contents(top: Path) -> dict[str, object]:
    return {name: fact[-1] for name, fact in facts(top).items()}


def order(source: Path, disk: Path) -> dict[str, Any]:
    return {
        "source_area": str(source),
        "destination_area": str(disk),
        "source": "product",
        "destination": "deep/product",
    }


def cut(image: Path, number: int) -> Path:
    """Return what the disk would have kept if its power had been cut now."""
    kept = image.with_name(f"kept{number}")
    shutil.copyfile(image, kept)
    return kept


@pytest.mark.parametrize("kind", ["file", "tree"])
def test_a_product_that_was_reported_is_there_when_the_power_is_cut(
    stager: Stager, folder: Path, image: Path, kind: str
) -> None:
    make_product(folder / "source", kind)
    with mounted(image) as disk:
        assert stager.stage(order(folder / "source", disk)).error is None
        shutil.copytree(folder / "source", disk / "not flushed")
        kept = cut(image, 0)
    with mounted(kept) as disk:
        assert contents(disk / "deep/product") == contents(folder / "source/product")
        assert not (disk / "not flushed").exists() or contents(disk / "not flushed") != contents(folder / "source")


@pytest.mark.parametrize("kind", ["file", "tree"])
def test_the_power_cut_at_any_flush_or_rename_leaves_nothing_or_the_whole(
    stager: Stager, folder: Path, image: Path, kind: str
) -> None:
    make_product(folder / "source", kind)
    log = folder / "log"
    empty = shutil.copyfile(image, folder / "empty")
    with mounted(image) as disk:
        stager.stage(order(folder / "source", disk), "-o", str(log), "-e", f"trace={FLUSHES}")
    calls = _CALL.findall(log.read_text())
    assert calls.index("renameat2") > 0, "nothing was flushed before it was published"
    assert calls[-1] != "renameat2", "the name was not flushed"
    for number, call in enumerate(calls):
        shutil.copyfile(empty, image)
        occurrence = calls[: number + 1].count(call)
        trace = ("-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={occurrence}")
        with mounted(image) as disk:
            assert stager.stage(order(folder / "source", disk), *trace).signal
            kept = cut(image, number)
        with mounted(kept) as disk:
            found = disk / "deep/product"
            assert not found.exists() or contents(found) == contents(folder / "source/product"), calls[: number + 1]
        kept.unlink()
