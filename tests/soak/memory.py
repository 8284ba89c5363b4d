"""What the service and the worker hold, at rest after a warm-up and at rest after all."""

from __future__ import annotations

from contextlib import suppress

import psutil

from tests.soak.site import Site

MIB = 1 << 20
# How much more they may hold at the end than after the warm-up.
GROWTH_MIB = 64
PARTS = {"API service": "http-service", "worker": "worker", "Prefect's server": "prefect-server"}


def held(site: Site) -> dict[str, float]:
    """Return what each part holds with all that it has started, their proportional sets (PSS), in MiB."""
    parts = site.parts()
    found = {name: parts[part].pid for name, part in PARTS.items() if part in parts and parts[part].pid}
    return {name: _held_by(pid) for name, pid in found.items()}


def _held_by(pid: int) -> float:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return sum(map(_pss, (process, *process.children(recursive=True))))
    return 0.0


def _pss(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss) / MIB
    return 0.0
