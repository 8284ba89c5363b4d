"""Every call that the description knows, tried with what fits it and with what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import ServedDoor

HERE = Path(__file__).parent
# Streams end when the client hangs up, which Schemathesis does not.
ENDLESS = r"/stream$"


@pytest.mark.timeout(600)
def test_no_call_fails_and_every_answer_is_as_described(
    guarded_door: ServedDoor, operator: dict[str, str], tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
    what = ["run", f"{guarded_door.url}/openapi.json", "--exclude-path-regex", ENDLESS]
    how = ["--max-examples", "20", "--request-timeout", "20", "--continue-on-failure", "--report", "junit"]
    where = ["--report-dir", str(tmp_path), "-H", f"Authorization: {operator['Authorization']}"]
    hooks = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(HERE)}

    run = subprocess.run(
        [*program, *what, *how, *where],
        cwd=tmp_path,
        env=hooks,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-20_000:]
