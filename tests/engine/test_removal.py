"""What was delivered is removed whole, wherever whoever removes it is killed."""

from __future__ import annotations

import subprocess
import sys

from tests.engine.conftest import Areas
from tests.patience import PATIENCE


def test_a_removal_that_is_killed_leaves_all_or_nothing_and_is_ended_by_a_sweep(areas: Areas) -> None:
    tree = areas.source / "product"
    (tree / "deep/er").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/er/c"):
        (tree / name).write_bytes(name.encode())
    command = [sys.executable, "-m", "tests.engine.killed_removal", str(areas.source), str(areas.destination)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    came = done.stdout.split()
    assert came.count("there") > 5
    assert came.count("gone") > 5
    assert came == sorted(came, reverse=True)  # once it has no name, it never has one again
