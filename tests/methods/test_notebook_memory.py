"""A delivery to a real notebook server needs no more memory for a large file than for an empty one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.peers.running_hub import RunningHub

CHECKOUT = Path(__file__).parents[2]
MIB = 1 << 20


def peak_of(source: Path, hub: RunningHub) -> int:
    """Return how much memory a process of its own needs for a delivery, over its start, in bytes."""
    destination = f"memory-{uuid.uuid4().hex}"
    environment = {"BENCHMARK_HUB": hub.url, "BENCHMARK_HUB_TOKEN": hub.tokens["staging"], "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "benchmarks.notebook_rivals", "ours", str(source), destination]
    said = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE).stdout
    arrived = hub.home("alice") / destination
    assert arrived.stat().st_size == source.stat().st_size
    arrived.unlink()
    return int(json.loads(said)["bytes"])


def test_a_gibibyte_needs_at_most_50_mib_more_than_an_empty_file(running_hub: RunningHub, tmp_path: Path) -> None:
    empty, large = tmp_path / "empty", tmp_path / "large"
    for file, size_bytes in ((empty, 0), (large, 1024 * MIB)):
        file.touch()
        os.truncate(file, size_bytes)
    assert peak_of(large, running_hub) <= peak_of(empty, running_hub) + 50 * MIB
