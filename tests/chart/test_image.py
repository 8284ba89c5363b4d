"""The image's recipe."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.chart.conftest import CHECKOUT
from tests.patience import PATIENCE


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, CHECKOUT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout


def test_the_image_says_what_it_is_and_what_it_was_made_of() -> None:
    recipe = (CHECKOUT / "Dockerfile").read_text()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', recipe))
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert labels.pop("title")
    assert labels.pop("description")
    assert labels == {
        "licenses": project["license"],
        "version": project["version"],
        "source": "${SOURCE}",
        "revision": "${REVISION}",
    }
    assert {"SOURCE", "REVISION"} <= set(re.findall(r"^ARG (\w+)=", recipe.rpartition("\nFROM ")[2], re.MULTILINE))


def test_each_package_is_named_with_its_hash() -> None:
    for name in ("build", "run"):
        lines = (CHECKOUT / "requirements" / f"{name}.txt").read_text().splitlines()
        named = [line for line in lines if "==" in line]
        assert named
        assert all(line.endswith("\\") for line in named)
