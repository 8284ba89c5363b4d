"""Bursts of requests while something dies: each that was answered is on record, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stager.models import Status
from stager.records.database import Database
from stager.records.requests import list_requests
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT
from tests.tls import TRUSTED

if TYPE_CHECKING:
    from tests.mariadb import MariaDB
    from tests.service.conftest import ServedDoor

Serve = Callable[..., AbstractContextManager["ServedDoor"]]
CLIENTS, EACH = 8, 40


# Each way to ask, and what is asked for.
CALLS: dict[str, Callable[[str], dict[str, Any]]] = {
    "/requests": lambda to: {
        "json": {"method": "local_copy", "username": "alice", "items": [{"source": "a.fits", "destination": to}]}
    },
    "/stage_data": lambda to: {
        "params": {"method": "local_copy", "username": "alice"},
        "json": {"data": {"local_path_on_storage": "a.fits", "relative_path": to}},
    },
}
each_way_to_ask = pytest.mark.parametrize("path", CALLS)


class Burst:
    """Clients that ask one after the other, and each by the same key again until it is answered."""

    def __init__(self, url: str, path: str) -> None:
        self.url = url
        self.accepted: list[str] = []
        self._path = path
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._threads.submit(self._ask, client) for client in range(CLIENTS)]

    def wait_for_a_quarter(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.accepted) < CLIENTS * EACH // 4:
            assert time.monotonic() < deadline, len(self.accepted)
            time.sleep(0.01)

    def finish(self) -> None:
        for client in self._clients:
            client.result(timeout=PATIENCE)
        self._threads.shutdown()

    def _ask(self, client: int) -> None:
        for number in range(EACH):
            self._ask_until_accepted(f"{client}-{number}")

    def _ask_until_accepted(self, destination: str) -> None:
        deadline = time.monotonic() + PATIENCE
        call = {**CALLS[self._path](destination), "headers": {"Idempotency-Key": destination}, "timeout": 60.0}
        while time.monotonic() < deadline:
            try:
                answer = httpx.post(self.url + self._path, **call, verify=TRUSTED)
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code == 202:
                self.accepted.append(answer.json()["request_id"])
                return
            assert answer.status_code == 503, answer.text
        pytest.fail(f"{destination} was never accepted")


def recorded(url: str) -> list[str]:
    database = Database(url)
    try:
        return [row.id for row in list_requests(database, limit=10 * CLIENTS * EACH).requests]
    finally:
        database.close()


def assert_each_is_on_record_once(burst: Burst, url: str) -> None:
    assert len(burst.accepted) == CLIENTS * EACH
    assert sorted(burst.accepted) == sorted(recorded(url))


@each_way_to_ask
def test_a_service_that_is_killed_in_mid_burst_has_each_call_on_record_once(
    serve: Serve, database_url: str, tmp_path: Path, path: str
) -> None:
    where = {"database_url": database_url, "prefect_api": NO_PREFECT, "STAGER_WAIT": "0"}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with serve(tmp_path / "one", **where) as door:
        burst = Burst(door.url, path)
        burst.wait_for_a_quarter()
        for process in (door.worker(), door.process.pid):
            os.kill(process, signal.SIGKILL)
        with serve(tmp_path / "two", **where) as another:
            burst.url = another.url
            burst.finish()

    assert_each_is_on_record_once(burst, database_url)


@each_way_to_ask
def test_a_database_that_restarts_in_mid_burst_has_each_call_on_record_once(
    serve: Serve, own_mariadb: MariaDB, tmp_path: Path, path: str
) -> None:
    url = own_mariadb.create_database()
    with serve(tmp_path, database_url=url, prefect_api=NO_PREFECT, STAGER_WAIT="0") as door:
        burst = Burst(door.url, path)
        burst.wait_for_a_quarter()
        own_mariadb.stop()
        own_mariadb.start()
        burst.finish()

    assert_each_is_on_record_once(burst, url)


def test_a_service_that_is_killed_while_it_sends_small_files_has_each_on_record(
    serve: Serve, database_url: str, open_path: Path
) -> None:
    sent: list[int] = []

    def fetch(url: str) -> None:
        with httpx.Client(timeout=PATIENCE) as client, suppress(httpx.TransportError):
            while True:
                sent.append(client.get(url).raise_for_status().status_code)

    with (
        serve(open_path, database_url=database_url, prefect_api=NO_PREFECT) as door,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        (door.source / "small").write_bytes(b"data")
        clients = [threads.submit(fetch, f"{door.url}/files/source/small") for _ in range(CLIENTS)]
        deadline = time.monotonic() + PATIENCE
        while len(sent) < 20 * CLIENTS and time.monotonic() < deadline:
            time.sleep(0.01)
        for process in (door.worker(), door.process.pid):
            os.kill(process, signal.SIGKILL)
        for client in clients:
            client.result(timeout=PATIENCE)

    database = Database(database_url)
    rows = list_requests(database, limit=100 * len(sent)).requests
    database.close()
    assert len(sent) >= 20 * CLIENTS
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert len(sent) <= len(rows) <= len(sent) + CLIENTS
