"""A register on disk of each worker's flow runs: if a worker is killed, the next one knows what died with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

LOCK = "lock"


class RunRegister:
    """A folder of a living worker, with an empty file for each of its runs.

    Parameters
    ----------
    place
        The folder that all workers of a machine keep theirs in.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Self:
        """Lock the folder; the kernel releases the lock when the process ends, whatever ends it."""
        self._place.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(dir=self._place))
        self._lock = _locked(self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # runs that outlive their worker stay written down
            (self._folder / LOCK).unlink()
            self._folder.rmdir()
        if self._lock is not None:
            os.close(self._lock)

    def add(self, flow_run_id: UUID) -> None:
        """Add a run that the worker has taken up."""
        (self._folder / str(flow_run_id)).touch()

    def remove(self, flow_run_id: UUID) -> None:
        """Remove a run whose ending was reported to Prefect."""
        (self._folder / str(flow_run_id)).unlink(missing_ok=True)

    def has_runs(self) -> bool:
        """Return whether the worker has any run."""
        return any(path.name != LOCK for path in self._folder.iterdir())

    def is_taken_up_again(self, flow_run_id: UUID) -> bool:
        """Return whether another worker has a dead one's run as well: it had not begun, and was taken up anew."""
        return sum((folder / str(flow_run_id)).exists() for folder in self._place.iterdir()) > 1

    def orphans(self) -> Iterator[list[UUID]]:
        """Yield the runs of each dead worker; they are forgotten when the next worker's are asked for."""
        for folder in self._place.iterdir():
            lock = None if folder == self._folder else _locked(folder)
            if lock is not None:
                try:
                    yield [UUID(path.name) for path in folder.iterdir() if path.name != LOCK]
                    shutil.rmtree(folder)
                finally:
                    os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds a worker's lock (flock(2)); None while the worker lives."""
    try:
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # it has just ended
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
