"""What others chose, logged by whatever process of ours: it begins no line and commands no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import NO_PREFECT

CHECKOUT = Path(__file__).parents[2]
LINE = "12:00:00.000 | ERROR   | forged"
# A line break by any of its names, a line of a log, and the codes that clear a terminal or turn text around.
NAMES = ("\n", "\r", "\x0b", "\x85", "\u2028")
CODES = ("\x1b[2J", "\x9b2J", "\x07", "\u202e")
FORGED = "".join(f"product{name}{LINE}{code}" for name in NAMES for code in CODES)
# As a process of ours logs: by the standard library, by Prefect, with a traceback.
SAYS = """
import importlib, logging, sys
importlib.import_module(sys.argv[1])
from prefect.logging import get_logger
forged = sys.argv[2]
for logger in (logging.getLogger("theirs"), get_logger("theirs")):
    logger.error("Source %s", forged)
    logger.error("Source " + forged)
    try:
        raise RuntimeError(forged)
    except RuntimeError:
        logger.exception("It failed")
"""


@pytest.mark.parametrize("imports", ["workers", "workers.__main__", "workers.pods", "tasks", "flows.local_copy"])
def test_no_name_begins_a_line_of_a_workers_or_a_runs_log_or_commands_a_terminal(imports: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PREFECT_API_URL": NO_PREFECT,
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "STAGER_DATABASE_URL": f"sqlite:///{tmp_path}/records.db",
        "PYTHONPATH": str(CHECKOUT),
    }
    said = subprocess.run(
        [sys.executable, "-c", SAYS, imports, FORGED],
        env=environment, cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    log = said.stderr.decode()
    assert log.count("It failed") == 2
    assert log.count("forged") >= 6
    lines = log.splitlines()  # at whatever a terminal or an editor takes for the end of a line
    assert [line for line in lines if line.startswith(LINE)] == []
    assert [line for line in lines if not line.replace("\t", " ").isprintable()] == []
