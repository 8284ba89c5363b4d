"""Files of every size get to a real notebook server, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from stager.errors import Cancelled, DestinationExists, DestinationTampered, NameNotTaken, SourceChanged
from stager.peers.jupyter import Contents, publish, upload
from tests.peers.conftest import opened, shown

PIECE = 64 << 10
SIZES = [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 7]


@pytest.fixture
def contents(contents: Contents) -> Contents:
    """The files of alice's server, in pieces that make small files large."""
    contents.piece_bytes = PIECE
    return contents


def ignore(_: int) -> None:
    """Count no bytes."""


@pytest.mark.parametrize("size_bytes", SIZES)
def test_what_arrives_is_what_was_sent(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path, size_bytes: int
) -> None:
    content = os.urandom(size_bytes)
    counted: list[int] = []
    with opened(tmp_path / "source", content) as source:
        uploaded = upload(contents, source, f"{folder}/part", source_name="source", on_bytes=counted.append)
    assert not (on_disk / "final").exists()
    publish(contents, uploaded, f"{folder}/final")
    assert (on_disk / "final").read_bytes() == content
    assert (uploaded.sha256, uploaded.is_verified) == (hashlib.sha256(content).hexdigest(), True)
    assert (uploaded.size_bytes, sum(counted)) == (size_bytes, size_bytes)
    assert shown(on_disk) == ["final"]


def test_memory_does_not_grow_with_the_file(contents: Contents, folder: str, tmp_path: Path) -> None:
    contents.piece_bytes = 4 << 20
    with opened(tmp_path / "source", b"") as source:
        os.truncate(tmp_path / "source", 32 << 20)
        tracemalloc.start()
        try:
            upload(contents, source, f"{folder}/part", source_name="source", on_bytes=ignore)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20


def test_an_upload_that_is_done_again_begins_anew(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path
) -> None:
    def cancel(_: int) -> None:
        raise Cancelled

    content = os.urandom(3 * PIECE)
    with opened(tmp_path / "source", content) as source:
        with pytest.raises(Cancelled):
            upload(contents, source, f"{folder}/part", source_name="source", on_bytes=cancel)
        assert (on_disk / "part").stat().st_size == PIECE
        upload(contents, source, f"{folder}/part", source_name="source", on_bytes=ignore)
    assert (on_disk / "part").read_bytes() == content


@pytest.mark.parametrize("how", ["appended", "deleted", "exchanged"])
def test_what_somebody_changes_in_the_middle_is_not_taken_for_ours(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path, how: str
) -> None:
    part = on_disk / "part"

    def tamper(_: int) -> None:
        if how == "appended":
            part.write_bytes(part.read_bytes() + b"x")
        elif how == "deleted":
            part.unlink()
        else:
            part.write_bytes(b"x" * part.stat().st_size)

    with opened(tmp_path / "source", os.urandom(2 * PIECE)) as source, pytest.raises(DestinationTampered):
        upload(contents, source, f"{folder}/part", source_name="source", on_bytes=tamper)


def test_what_somebody_changes_before_the_rename_is_told(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path
) -> None:
    with opened(tmp_path / "source", b"SIMPLE") as source:
        uploaded = upload(contents, source, f"{folder}/part", source_name="source", on_bytes=ignore)
    (on_disk / "part").write_bytes(b"SIMPLER")
    with pytest.raises(DestinationTampered, match="7 bytes, and 6 were sent"):
        publish(contents, uploaded, f"{folder}/final")


def test_what_is_there_already_stays(contents: Contents, folder: str, on_disk: Path, tmp_path: Path) -> None:
    (on_disk / "final").write_bytes(b"old")
    with opened(tmp_path / "source", b"new") as source:
        uploaded = upload(contents, source, f"{folder}/part", source_name="source", on_bytes=ignore)
    with pytest.raises(DestinationExists):
        publish(contents, uploaded, f"{folder}/final")
    assert (on_disk / "final").read_bytes() == b"old"


@pytest.mark.parametrize("size_bytes", [PIECE, 4 * PIECE])
def test_a_source_that_changes_is_not_delivered(
    contents: Contents, folder: str, tmp_path: Path, size_bytes: int
) -> None:
    file = tmp_path / "source"

    def change(_: int) -> None:
        os.truncate(file, size_bytes)

    with opened(file, os.urandom(3 * PIECE)) as source, pytest.raises(SourceChanged, match="my source"):
        upload(contents, source, f"{folder}/part", source_name="my source", on_bytes=change)


def test_a_source_that_changes_and_is_dated_back_is_not_delivered(
    contents: Contents, folder: str, tmp_path: Path
) -> None:
    file = tmp_path / "source"

    def change(_: int) -> None:
        before = file.stat()
        file.write_bytes(os.urandom(before.st_size))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    with opened(file, os.urandom(PIECE)) as source, pytest.raises(SourceChanged):
        upload(contents, source, f"{folder}/part", source_name="source", on_bytes=change)


def test_a_name_that_the_server_refuses_is_refused_before_the_first_byte(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path
) -> None:
    with opened(tmp_path / "source", b"") as source, pytest.raises(NameNotTaken):
        upload(contents, source, f"{folder}/.part", source_name="source", on_bytes=ignore)
    assert list(on_disk.iterdir()) == []
