"""A module of ours run as a program, as operators do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.forked import Forked
from tests.patience import PATIENCE

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """How a program ended, and what it wrote."""

    returncode: int | None
    stdout: str
    stderr: str


def run_module(prefect_api: str, folder: Path, module: str, *arguments: str, **settings: str) -> Done:
    """Return how it ended, with Prefect at an address and its own files in a folder."""
    environment = {**os.environ, "PREFECT_API_URL": prefect_api, "PREFECT_HOME": str(folder), **settings}
    with Forked(module, arguments, env=environment, cwd=CHECKOUT) as process:
        out, log = process.communicate(PATIENCE)
    return Done(process.returncode, out, log)
