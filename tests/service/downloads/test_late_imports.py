"""Whoever reads with a user's rights imports nothing: Python's own folder may be closed to that user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.ports import NO_PREFECT

# What a service has imported when it serves; then each way to read, with nothing left to be imported.
SERVED = """
import sys
from contextlib import suppress
import blocks.areas, stager.app
from stager.errors import StagingError
from stager.callers.area_reading import access_to
from stager.downloads.archive import ArchiveRepresentation
from stager.callers.open_source import open_source
from stager.downloads.tar import Tar
from stager.downloads.zipped import Zip
from stager.downloads.listing import list_folder
from stager.settings import get_settings

class Nothing:
    def find_spec(self, name, path=None, target=None):
        print("imported late:", name)

access = access_to("source", None, settings=get_settings(), is_bounded=False)
sys.meta_path.insert(0, Nothing())
for path in ("missing", "\\0", "a\\n\\x1b\\udcff", "..", "link-out", "fifo", "x" * 300, ""):
    with suppress(StagingError), access.entered() as root:
        open_source(access, root, path)
for make in (Tar, Zip):
    with access.entered() as root:
        source = open_source(access, root, "tree")
        archive = ArchiveRepresentation(source, make, media_type="x/y", ending=b".x").surveyed()
        assert list(archive.pieces(0, archive.size_bytes))
with access.entered() as root:
    assert list_folder(access, root, "tree", cursor=None, limit=10).entries
print("read")
"""


def test_a_reader_imports_nothing(open_path: Path) -> None:
    tree = open_path / "storage" / "tree"
    tree.mkdir(parents=True)
    for name in (b"plain", b"\xff", "naïve".encode(), b"a\nb"):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(b"data")
    (tree.parent / "link-out").symlink_to("/etc")
    os.mkfifo(tree.parent / "fifo")
    settings = {"SOURCE_STORAGE_PATH": str(tree.parent), "PREFECT_API_URL": NO_PREFECT, "PREFECT_HOME": str(open_path)}
    run = subprocess.run(
        [sys.executable, "-c", SERVED],
        env={**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parents[3])},
        cwd=open_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout) == (0, "read\n"), run.stderr
