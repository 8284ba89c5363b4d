"""Backup and restore, by the commands that docs/kubernetes-operations.md gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.cluster.conftest import CHART, Release

PAGE = CHART.parents[1] / "docs" / "kubernetes-operations.md"


def commands(heading: str) -> list[str]:
    """Return the blocks of commands under a heading of the page."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)


def carry_out(release: Release, block: str, folder: Path) -> None:
    """Run a block in a folder, in the release's namespace."""
    said = re.sub(r"\b(kubectl|helm) (?=[a-z])", rf"\1 --namespace {release.cluster.namespace} ", block)
    done = subprocess.run(["bash", "-euc", said], cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_both_databases_are_saved_and_the_records_come_back(release: Release, tmp_path: Path) -> None:
    release.hand.write("storage_a/kept.txt", "kept")
    assert release.stage("kept.txt", "kept.txt")[0] == 200
    (tmp_path / "charts").symlink_to(CHART.parent)
    shutil.copy(release.values, tmp_path / "values.yaml")
    backup, restore = commands("Backup and restore")
    records = release.records()

    carry_out(release, backup, tmp_path)
    lose = (
        'mysql --user=root --password="$MYSQL_ROOT_PASSWORD" --execute="DROP DATABASE staging; CREATE DATABASE staging"'
    )
    release.cluster.kubectl("exec", f"{release.fullname}-mysql-0", "--", "sh", "-c", lose)
    carry_out(release, restore, tmp_path)

    release.cluster.kubectl("rollout", "status", f"deployment/{release.fullname}-api", "--timeout=300s")
    assert release.records() == records
    assert (tmp_path / "prefect.db").read_bytes().startswith(b"SQLite format 3")
