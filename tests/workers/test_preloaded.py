"""What the fork server does before there is a run keeps it from nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stager.records.database import Database
from tests.ports import NO_PREFECT
from tests.records_database import give_records


def test_the_fork_server_starts_also_while_somebody_writes_to_the_records(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    give_records(url)
    prefect = {"PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": NO_PREFECT}  # else it starts a server
    environment = {**os.environ, "STAGER_DATABASE_URL": url, **prefect}
    with Database(url).engine.begin():
        preloading = [sys.executable, "-c", "import workers.preloaded"]
        done = subprocess.run(preloading, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The SQL of runs could not be compiled beforehand" in done.stderr
    assert "database is locked" in done.stderr
