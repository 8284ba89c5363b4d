"""A database that keeps its users waiting keeps nobody else waiting."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from stager.records.database.async_database import MAX_THREADS
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

Serve = Callable[..., AbstractContextManager["ServedDoor"]]
CALLS = 2 * MAX_THREADS


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Be the one writer of a SQLite database while the body runs."""
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield
        writer.execute("ROLLBACK")


def wait_until_all_threads_wait(door: ServedDoor, database: Path) -> None:
    """Return when each thread that may wait for the database has a connection."""
    served = psutil.Process(door.worker())
    deadline = time.monotonic() + PATIENCE
    while [file.path for file in served.open_files()].count(str(database)) < MAX_THREADS:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_needs_no_database_is_answered_while_others_wait_for_it(serve: Serve, tmp_path: Path) -> None:
    database = tmp_path / "records.db"
    answered: list[str] = []
    with (
        serve(tmp_path, database_url=f"sqlite:///{database}", prefect_api=NO_PREFECT, STAGER_WAIT="0") as door,
        ThreadPoolExecutor(CALLS) as pool,
    ):
        requests = [door.ask(("a.fits", f"{number}.fits")).json()["request_id"] for number in range(CALLS)]

        def cancel(request_id: str) -> None:
            door.client.post(f"/requests/{request_id}/cancel")
            answered.append("cancel")

        with held(database):
            calls = [pool.submit(cancel, request_id) for request_id in requests]
            wait_until_all_threads_wait(door, database)
            answered.append(door.client.get("/config/").raise_for_status().url.path)
        wait(calls)
    assert answered == ["/config/", *["cancel"] * CALLS]
