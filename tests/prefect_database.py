"""The database of a new Prefect server, made once for all tests: a server takes seconds to make its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import prefect

KEPT = Path(__file__).parents[1] / ".run" / f"prefect-{prefect.__version__}.db"


def give_database(home: Path) -> None:
    """Put into the folder of a server that has not started yet what it would make there itself."""
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes that run tests side by side want it at once
        if not KEPT.exists():
            _make()
    home.mkdir(exist_ok=True)
    shutil.copy(KEPT, home / "prefect.db")


def _make() -> None:
    with tempfile.TemporaryDirectory(dir=KEPT.parent) as home:
        upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(upgrade, env=os.environ | {"PREFECT_HOME": home}, check=True, capture_output=True)
        Path(home, "prefect.db").rename(KEPT)
