"""A folder that every account may enter: pytest's own are closed to all but the one that runs the tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give such a folder; it goes with the block."""
    with tempfile.TemporaryDirectory(prefix="staging-tests-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
