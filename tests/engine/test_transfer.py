"""What is delivered is what was there."""

from __future__ import annotations

import os
import stat
import zlib
from typing import TYPE_CHECKING

from stager import engine

if TYPE_CHECKING:
    from tests.engine.conftest import Areas


def test_a_file_arrives_whole_read_only_with_its_checksum_and_mtime(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"data" * 1000)
    os.utime(areas.source / "a", ns=(1, 123456789123456789))
    published = areas.stage("a", "deep/er/b")
    there = areas.destination / "deep/er/b"
    assert there.read_bytes() == b"data" * 1000
    assert published.checksum == f"{zlib.adler32(b'data' * 1000):08x}"
    assert stat.S_IMODE(there.stat().st_mode) == 0o400
    assert there.stat().st_mtime_ns == 123456789123456789
    assert areas.leftovers() == ["deep", "deep/er", "deep/er/b"]


def test_the_fingerprint_of_what_was_published_is_found_again(areas: Areas) -> None:
    (areas.source / "t/inner").mkdir(parents=True)
    (areas.source / "t/inner/a").write_bytes(b"x")
    published = areas.stage("t", "t")
    assert engine.fingerprint(areas.to("t")) == published.fingerprint
