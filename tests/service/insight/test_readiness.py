"""What is away is named, and holds up nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import prefect_password
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.mariadb import MariaDB
    from tests.service.conftest import PrefectServer, ServedDoor

pytestmark = pytest.mark.any_database

Serve = Callable[..., AbstractContextManager["ServedDoor"]]
SLOW = "no answer within 4 s"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def parts(door: ServedDoor, hanging: str = "") -> tuple[int, str, dict[str, Any]]:
    """Return what a look finds that was held up by no part, but for one that hangs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = door.client.get("/health/ready")
        found = answer.json()["parts"]
        if {part for part, health in found.items() if health["reason"] == SLOW} <= {hanging}:
            return answer.status_code, answer.json()["status"], found
        assert time.monotonic() < deadline, found


def eventually(door: ServedDoor, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    found: dict[str, Any]
    deadline = time.monotonic() + PATIENCE
    while not holds(found := door.client.get("/health/ready").json()["parts"]):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mount a folder onto itself, read-only."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def hung(folder: Path) -> Iterator[None]:
    """Mount a file system onto a folder that never answers a call; at the end all calls fail."""
    with open("/dev/fuse", "r+b", buffering=0) as server:  # noqa: PTH123 - no file to seek in
        options = f"fd={server.fileno()},rootmode=40000,user_id=0,group_id=0"
        command: list[str | Path] = ["mount", "-i", "-t", "fuse", "-o", options, "nobody", folder]
        subprocess.run(command, check=True, pass_fds=[server.fileno()])
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_service_lives_whatever_is_away(lone_door: ServedDoor) -> None:
    assert lone_door.client.get("/health/live").json() == {"status": "alive"}


def test_a_service_is_ready_when_all_parts_are(door: ServedDoor) -> None:
    assert parts(door)[:2] == (200, "ready")


def test_each_part_that_is_away_is_named_with_its_reason(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path, database_url=f"sqlite:///{tmp_path}/records.db", prefect_api=NO_PREFECT) as door:
        door.source.rmdir()
        status, word, found = parts(door)

    assert (status, word) == (200, "degraded")
    assert found["database"] == {"is_reachable": True, "reason": None}
    assert found["area user"]["is_reachable"]
    assert found["area source"]["reason"] == f"Storage fault: {door.source}: No such file or directory"
    assert found["prefect"]["reason"].startswith("Prefect does not answer: ")


def test_a_wrong_password_of_prefects_is_named_and_what_is_asked_for_meanwhile_is_recorded(
    serve: Serve, prefect: PrefectServer, tmp_path: Path
) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": prefect.api}
    with serve(tmp_path, **where, PREFECT_API_AUTH_STRING="tests:wrong", STAGER_WAIT="0") as door:
        _, word, found = parts(door)
        taken = door.stage().status_code
        until_logged(door, "PREFECT_API_AUTH_STRING is not its password")

    assert word == "degraded"
    reason = "it answered 401 Unauthorized: PREFECT_API_AUTH_STRING is not its password"
    assert found["prefect"]["reason"] == f"Prefect does not answer: {reason}"
    assert taken == 202


def until_logged(door: ServedDoor, words: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while words not in door.log_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def lost_area(prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A storage area that Prefect alone knows, of a folder that is nowhere."""
    monkeypatch.setenv("PREFECT_HOME", str(prefect.home))
    monkeypatch.setenv("PREFECT_API_URL", prefect.api)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", prefect_password.AUTH_STRING)
    program = (
        "from pathlib import Path; from blocks.storage_area import StorageAreaBlock;"
        "StorageAreaBlock(path=Path('/nowhere')).save('lost', overwrite=True)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    yield "lost"
    for block in prefect.client.get("/block_types/slug/storage-area/block_documents").json():
        prefect.client.delete(f"/block_documents/{block['id']}").raise_for_status()


def test_an_area_that_only_prefect_knows_is_looked_at_too(
    serve: Serve, prefect: PrefectServer, lost_area: str, tmp_path: Path
) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": prefect.api}
    with serve(tmp_path, **where, STAGER_AREA_ROOTS='["/nowhere"]') as door:
        found = eventually(door, lambda found: f"area {lost_area}" in found)

    assert found[f"area {lost_area}"]["reason"] == "Storage fault: /nowhere: No such file or directory"
    assert found["area source"]["is_reachable"]


@needs_root
def test_an_area_that_became_read_only_is_named(serve: Serve, tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(tmp_path, **where) as door, read_only(door.source), read_only(door.user_areas):
        _, word, found = parts(door)

    assert word == "degraded"
    assert found["area source"]["is_reachable"]
    reason = "no permission, or mounted read-only"
    assert found["area user"]["reason"] == f"Destination cannot be written: {door.user_areas}: {reason}"


@needs_root
def test_a_service_that_only_reads_does_not_miss_writing(serve: Serve, tmp_path: Path) -> None:
    where = {
        "database_url": f"sqlite:///{tmp_path}/records.db",
        "prefect_api": NO_PREFECT,
        "STAGER_AREAS_READ_ONLY": "true",
    }
    with serve(tmp_path, **where) as door, read_only(door.user_areas):
        _, _, there = parts(door)
    with serve(tmp_path, **where) as door:
        door.user_areas.rmdir()
        missing = eventually(door, lambda found: not found["area user"]["is_reachable"])

    assert there["area user"]["is_reachable"]
    assert missing["area user"]["reason"] == f"Storage fault: {door.user_areas}: No such file or directory"


@needs_root
def test_a_hung_storage_is_named_and_the_others_answer_as_before(serve: Serve, tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(tmp_path, **where) as door:
        with hung(door.source):
            looks = [parts(door, hanging="area source")[2] for _ in range(3)]
        back = eventually(door, lambda found: bool(found["area source"]["is_reachable"]))

    for found in looks:
        assert found["area source"] == {"is_reachable": False, "reason": SLOW}
        assert found["area user"]["is_reachable"]
    assert back["area user"]["is_reachable"]


def test_without_its_database_a_service_is_not_ready(serve: Serve, own_mariadb: MariaDB, tmp_path: Path) -> None:
    with serve(tmp_path, database_url=own_mariadb.create_database(), prefect_api=NO_PREFECT) as door:
        own_mariadb.stop()
        away = parts(door, hanging="database")
        own_mariadb.start()
        eventually(door, lambda found: bool(found["database"]["is_reachable"]))
        back = parts(door)

    assert away[:2] == (503, "unready")
    # The second where others wait for it already, in all the threads that ask it.
    reasons = ("The records database does not answer: ", SLOW)
    assert away[2]["database"]["reason"].startswith(reasons)
    assert back[0] == 200
