"""A file of 100 GiB: nobody waits for its end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from stager import engine
from stager.errors import Cancelled
from stager.paths import locate
from tests.huge_files import GIB, make_huge_file
from tests.loop_disks import make_disk, missing_for, mounted
from tests.modes import MODES

pytestmark = pytest.mark.skipif(bool(missing_for("xfs")), reason=missing_for("xfs") or "-")

INTERVAL = 0.3  # seconds between two reports at least


def transfer_until(reports: int, source: Path, destination: Path) -> tuple[list[float], int]:
    """Copy until so many reports came; return the seconds until each came, and the bytes that passed after the last."""
    times: list[float] = []
    cancelled = threading.Event()
    at_cancel = 0

    def report(bytes_done: int, _files: int) -> None:
        nonlocal at_cancel
        times.append(time.monotonic() - began)
        if len(times) == reports:
            at_cancel = bytes_done
            cancelled.set()

    control = engine.Control(report, cancelled)
    survey = engine.survey(locate(source, "huge"))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        engine.transfer(
            locate(source, "huge"), locate(destination, "huge"), survey=survey, modes=MODES, control=control
        )
    print(f"stopped {time.monotonic() - began - times[-1]:.2f} s after it was told to")  # noqa: T201 - the figure, with -s
    return times, control.bytes_done - at_cancel


def test_a_copy_of_100_gib_tells_how_far_it_is_and_stops_when_it_is_told_to(tmp_path: Path) -> None:
    with (
        mounted(make_disk(tmp_path / "one", "xfs", 200 * GIB)) as source,
        mounted(make_disk(tmp_path / "other", "xfs", 200 * GIB)) as destination,
    ):
        make_huge_file(source / "huge", 100 * GIB)
        times, late_bytes = transfer_until(4, source, destination)
        assert list(destination.iterdir()) == []
    # Two reports may come closer together, when the first of them was held up on its way; more than these never come.
    assert all(time_s >= number * INTERVAL for number, time_s in enumerate(times))
    assert late_bytes < 10 * GIB  # more would be more than a second of any disk's
