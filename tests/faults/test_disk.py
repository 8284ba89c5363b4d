"""The disk fails: the error says what, where and whether a retry helps, and nothing is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Stager, facts

MIB = 1 << 20
FULL = {"ENOSPC": "NoSpace", "EDQUOT": "QuotaExceeded"}
FAULTY = ("EIO", "ESTALE")
# Sizes that go each its own way: read at once, in blocks, in blocks by two threads.
SIZES = {"small": 1000, "large": 2 * MIB, "parallel": 16 * MIB}


@pytest.fixture
def areas(folder: Path) -> dict[str, Any]:
    """An order for one product, in areas of its own."""
    for area in ("source", "user"):
        (folder / area).mkdir()
    return order(folder / "source", folder / "user")


def order(source: Path, destination: Path) -> dict[str, Any]:
    return {
        "source_area": str(source),
        "destination_area": str(destination),
        "source": "product",
        "destination": "deep/product",
    }


def inject(call: str, error: str, occurrence: str = "1") -> tuple[str, ...]:
    return "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={occurrence}"


def make_product(areas: dict[str, Any], kind: str) -> tuple[Path, Path]:
    source, destination = Path(areas["source_area"]), Path(areas["destination_area"])
    if kind == "tree":
        (source / "product/inner").mkdir(parents=True)
        (source / "product/inner/a").write_bytes(b"data")
    else:
        (source / "product").write_bytes(b"x" * SIZES[kind])
    return source, destination


def expected_class(error: str) -> str:
    return FULL.get(error, "StorageFault")


@pytest.mark.parametrize("error", [*FULL, *FAULTY])
@pytest.mark.parametrize(
    "fault",
    [
        ("small", "pwrite64", "1"),
        ("large", "pwrite64", "2"),
        ("parallel", "pwrite64", "3"),
        ("tree", "pwrite64", "1"),
        ("small", "fsync", "1"),
        ("tree", "syncfs", "1"),
        ("small", "syncfs", "1"),
        ("small", "renameat2", "1"),
        ("tree", "renameat2", "1"),
        ("tree", "mkdirat", "1"),
        ("tree", "mkdirat", "2"),
        ("tree", "mkdirat", "3"),
        ("tree", "fchmod", "1"),
        ("small", "utimensat", "1"),
        ("small", "flock", "1"),
    ],
)
def test_a_failing_destination_is_told_by_name_and_left_as_it_was(
    stager: Stager, areas: dict[str, Any], fault: tuple[str, str, str], error: str
) -> None:
    kind, call, occurrence = fault
    source, destination = make_product(areas, kind)
    before = facts(source)
    outcome = stager.stage(areas, *inject(call, error, occurrence))
    assert outcome.error == expected_class(error)
    assert outcome.retryable is (error in FAULTY)
    assert str(destination / "deep") in outcome.message
    assert error in outcome.message
    assert list(destination.iterdir()) == []
    assert facts(source) == before


@pytest.mark.parametrize("error", FAULTY)
@pytest.mark.parametrize(
    ("kind", "call"), [("small", "read"), ("large", "preadv,preadv2"), ("parallel", "preadv,preadv2"), ("tree", "read")]
)
def test_a_failing_source_is_told_by_name_and_leaves_nothing(
    stager: Stager, areas: dict[str, Any], kind: str, call: str, error: str
) -> None:
    source, destination = make_product(areas, kind)
    outcome = stager.stage(areas, *inject(call, error))
    assert outcome.error == "StorageFault"
    assert outcome.retryable is True
    assert str(source / "product") in outcome.message
    assert error in outcome.message
    assert list(destination.iterdir()) == []


@pytest.mark.parametrize("kind", ["small", "tree"])
def test_a_name_that_is_not_durable_is_taken_back(stager: Stager, areas: dict[str, Any], kind: str) -> None:
    _, destination = make_product(areas, kind)
    (destination / "deep").mkdir()
    last = "2" if kind == "small" else "1"  # a file's content is flushed by the first
    outcome = stager.stage(areas, *inject("fsync", "EIO", last))
    assert outcome.error == "StorageFault"
    assert list((destination / "deep").iterdir()) == []


@pytest.mark.parametrize("kind", ["small", "tree"])
def test_a_replacement_that_is_not_durable_brings_the_old_back(
    stager: Stager, areas: dict[str, Any], kind: str
) -> None:
    _, destination = make_product(areas, kind)
    (destination / "deep").mkdir()
    (destination / "deep/product").write_bytes(b"older")
    before = facts(destination / "deep/product")
    last = "2" if kind == "small" else "1"
    outcome = stager.stage({**areas, "replace": True}, *inject("fsync", "EIO", last))
    assert outcome.error == "StorageFault"
    after = facts(destination / "deep/product")
    assert [fact[-1] for fact in after.values()] == [fact[-1] for fact in before.values()]
    assert [path.name for path in (destination / "deep").iterdir()] == ["product"]


@pytest.mark.parametrize("kind", ["small", "tree"])
def test_without_the_flags_of_renameat2_it_is_published_all_the_same(
    stager: Stager, areas: dict[str, Any], kind: str
) -> None:
    source, destination = make_product(areas, kind)
    outcome = stager.stage(areas, *inject("renameat2", "EINVAL", "1+"))
    assert outcome.error is None
    assert [path.name for path in (destination / "deep").iterdir()] == ["product"]
    assert contents(destination / "deep/product") == contents(source / "product")


def contents(top: Path) -> dict[str, object]:
    return {name: fact[-1] for name, fact in facts(top).items()}


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def make_large_tree(source: Path, files: int, size_bytes: int) -> None:
    (source / "product").mkdir()
    for number in range(files):
        (source / f"product/{number}").write_bytes(b"x" * size_bytes)


def test_a_disk_that_is_too_small_is_refused_before_it_is_written(
    stager: Stager, areas: dict[str, Any], folder: Path
) -> None:
    source, _ = make_product(areas, "large")
    with mounted(folder / "disk", "-o", "size=1m") as disk:
        outcome = stager.stage(order(source, disk))
        assert outcome.error == "NoSpace"
        assert "2097152 bytes are needed and" in outcome.message
        assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_is_told_and_emptied_again(
    stager: Stager, areas: dict[str, Any], folder: Path
) -> None:
    source = Path(areas["source_area"])
    make_large_tree(source, 400, 2500)  # fewer bytes than there are, and more pages
    with mounted(folder / "disk", "-o", "size=1m") as disk:
        outcome = stager.stage(order(source, disk))
        assert outcome.error == "NoSpace"
        assert "ENOSPC" in outcome.message
        assert str(disk / "deep/product") in outcome.message
        assert list(disk.iterdir()) == []


def test_a_disk_without_inodes_is_refused(stager: Stager, areas: dict[str, Any], folder: Path) -> None:
    source = Path(areas["source_area"])
    make_large_tree(source, 30, 1)
    with mounted(folder / "disk", "-o", "size=1m,nr_inodes=16") as disk:
        outcome = stager.stage(order(source, disk))
        assert outcome.error == "NoSpace"
        assert list(disk.iterdir()) == []


def test_a_read_only_disk_is_told(stager: Stager, areas: dict[str, Any], folder: Path) -> None:
    source, _ = make_product(areas, "small")
    with mounted(folder / "disk", "-o", "size=1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = stager.stage(order(source, disk))
        assert outcome.error == "DestinationNotWritable"
        assert "EROFS" in outcome.message
        assert not outcome.retryable
