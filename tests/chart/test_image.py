"""The image's recipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.chart.conftest import CHECKOUT


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, CHECKOUT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_each_package_is_named_with_its_hash() -> None:
    for name in ("build", "run"):
        lines = (CHECKOUT / "requirements" / f"{name}.txt").read_text().splitlines()
        named = [line for line in lines if "==" in line]
        assert named
        assert all(line.endswith("\\") for line in named)
