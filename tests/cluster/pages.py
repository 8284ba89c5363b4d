"""The commands that pages of the docs give, carried out."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

from tests.cluster.conftest import CHART, Release

DOCS = CHART.parents[1] / "docs"


def commands(page: str, heading: str) -> list[str]:
    """Return the blocks of commands under a heading of a page."""
    section = (DOCS / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", re.sub(r"```.*?```", "", section, flags=re.DOTALL), re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def lay_out(release: Release, folder: Path) -> None:
    """Put into a folder what the pages' commands find there: the chart, and the release's values."""
    (folder / "charts").symlink_to(CHART.parent)
    shutil.copy(release.values, folder / "values.yaml")


def carry_out(release: Release, block: str, folder: Path) -> str:
    """Run a block in a folder, in the release's namespace, and return what it prints; what it leaves running ends."""
    said = re.sub(r"\b(kubectl|helm) (?=[a-z])", rf"\1 --namespace {release.cluster.namespace} ", block)
    script = f"trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{said}"
    command = ["bash", "-euc", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout
