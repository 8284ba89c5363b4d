"""Zips with more than the plain fields can count: entries, and bytes."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from stager.downloads.archive import ArchiveEntry
from stager.downloads.pieces import Piece
from stager.downloads.zipped import BLOCK_BYTES, Zip
from stager.paths import Descriptor

MANY = 65_536
BEYOND = 4 * 1024**3 + 1


def unopened() -> Descriptor:
    raise IsADirectoryError


def test_a_zip_of_more_than_65535_entries_has_the_length_that_was_said_and_all_of_them(tmp_path: Path) -> None:
    status = tmp_path.stat()
    entries = [ArchiveEntry(f"wide/{number}", status, "", unopened) for number in range(MANY)]
    layout = Zip()
    said = sum(layout.size_of(entry) for entry in entries) + layout.size_of_end()
    archive = b"".join(piece for piece in Zip().pieces(iter(entries)) if isinstance(piece, bytes))

    assert len(archive) == said
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert [opened.namelist()[place] for place in (0, -1)] == ["wide/0/", f"wide/{MANY - 1}/"]
        assert len(opened.namelist()) == MANY


def sparse(folder: Path, name: str, *, size_bytes: int, ending: bytes) -> ArchiveEntry:
    path = folder / name
    with path.open("wb") as stream:
        stream.seek(size_bytes - len(ending))
        stream.write(ending)
    return ArchiveEntry(f"wide/{name}", path.stat(), "", lambda: Descriptor(os.open(path, os.O_RDONLY)))


def write_sparsely(pieces: Iterator[Piece], path: Path) -> int:
    hole = bytes(BLOCK_BYTES)
    with path.open("wb") as stream:
        for piece in pieces:
            assert isinstance(piece, bytes)
            if piece == hole:
                stream.seek(len(hole), os.SEEK_CUR)
            else:
                stream.write(piece)
        return stream.tell()


def test_a_zip_beyond_4_gib_has_the_length_that_was_said_and_every_file_whole(tmp_path: Path) -> None:
    entries = [
        sparse(tmp_path, "large", size_bytes=BEYOND, ending=b"the end"),  # its own length is wide
        sparse(tmp_path, "small", size_bytes=4, ending=b"next"),  # its place is
    ]
    layout, path = Zip(), tmp_path / "wide.zip"
    said = sum(layout.size_of(entry) for entry in entries) + layout.size_of_end()

    assert write_sparsely(Zip().pieces(iter(entries)), path) == said
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert [info.file_size for info in archive.infolist()] == [BEYOND, 4]
        assert archive.read("wide/small") == b"next"
