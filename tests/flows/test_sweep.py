"""Leftovers go although nobody stages there again."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from stager.errors import Cancelled, RunLost, StagingError
from stager.records.requests import fail_request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Site

pytestmark = pytest.mark.stack


def leave(site: Site, folder: str, error: StagingError | None) -> tuple[Path, Path]:
    """Leave what a run leaves that is killed while it stages into a folder, and return it and its lock."""
    request_id = site.request(("a.fits", f"{folder}/a.fits"), ("a.fits", f"{folder}/../b.fits"))
    left = site.users / "alice" / folder / ".stager-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    lock = left.with_name(left.name + ".lock")
    lock.touch()
    if error:
        fail_request(site.database, request_id, error)
    return left, lock


def test_a_sweep_removes_what_the_dead_left_and_nothing_of_the_living(site: Site) -> None:
    dead = [*leave(site, "crashed", RunLost("the run crashed")), *leave(site, "cancelled", Cancelled())]
    alive = [*leave(site, "other run", RunLost("the run crashed"))]
    unfinished = [*leave(site, "open", None)]
    with alive[1].open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert site.run("sweep")[0] == "Completed: 2 leftovers removed"
    assert [path.exists() for path in (*dead, *alive, *unfinished)] == [False] * 4 + [True] * 4
