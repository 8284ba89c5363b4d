"""A zip of more entries than its plain directory can count."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from stager.paths import Descriptor
from stager.service.downloads.archive import Entry
from stager.service.downloads.zipped import Zip

MANY = 65_536


def unopened() -> Descriptor:
    raise IsADirectoryError


def test_a_zip_of_more_than_65535_entries_has_the_length_that_was_said_and_all_of_them(tmp_path: Path) -> None:
    status = tmp_path.stat()
    entries = [Entry(f"wide/{number}", status, "", unopened) for number in range(MANY)]
    layout = Zip()
    said = sum(layout.size_of(entry) for entry in entries) + layout.size_of_end()
    archive = b"".join(Zip().pieces(iter(entries)))

    assert len(archive) == said
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert [opened.namelist()[place] for place in (0, -1)] == ["wide/0/", f"wide/{MANY - 1}/"]
        assert len(opened.namelist()) == MANY
