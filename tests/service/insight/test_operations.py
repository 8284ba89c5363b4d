"""What an operator watches and looks at."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stager.errors import ConfigurationError, NotebookNotStarted, SourceNotFound
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.events import GOES_ON, Wait, note_waits
from stager.records.items import files_of, save_files
from stager.records.requests import create_request, fail_request, start_requests
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor

Serve = Callable[..., AbstractContextManager["ServedDoor"]]
DELIVERED = "UPDATE staging_request SET status = 'completed', bytes_done = 5000000, files_done = 3 WHERE id = '%s'"


def record(database: Database, destination: str) -> str:
    item = StagingItem(source="a", destination=destination)
    return create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,))).id


def end_some(database: Database) -> None:
    """Write down two requests that failed, and one that delivered three files."""
    for n in range(3):
        fail_request(database, id_ := record(database, f"ended-{n}"), SourceNotFound("a"))
    with database.engine.begin() as connection:
        connection.exec_driver_sql(DELIVERED % id_)


def figures(door: ServedDoor) -> dict[tuple[str, tuple[str, ...]], float]:
    text = door.client.get("/metrics").raise_for_status().text
    families = text_string_to_metric_families(text)
    # To Prometheus, a label with an empty value is as one that is not there.
    return {
        (s.name, tuple(value for value in s.labels.values() if value)): s.value
        for family in families
        for s in family.samples
    }


def test_the_figures_are_the_records_and_the_same_at_every_door(
    serve: Serve, database_url: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    where = {"database_url": database_url, "prefect_api": NO_PREFECT}
    with serve(tmp_path / "one", **where) as door:
        assert figures(door)["staging_queue_requests", ("local_copy",)] == 0
        end_some(door.database)
        record(door.database, "waits")
        found = figures(door)
        with serve(tmp_path / "two", **where) as other:
            elsewhere = figures(other)

    def recorded(some: dict[tuple[str, tuple[str, ...]], float]) -> dict[tuple[str, tuple[str, ...]], float]:
        passing = ("staging_http", "process_", "staging_reconciler", "staging_queue_oldest")
        return {name: value for name, value in some.items() if not name[0].startswith(passing)}

    assert recorded(found) == recorded(elsewhere)
    assert found["staging_requests_total", ("local_copy", "SourceNotFound", "failed")] == 2
    assert found["staging_requests_total", ("local_copy", "SourceNotFound", "completed")] == 1
    assert found["staging_request_bytes_sum", ("local_copy",)] == 5_000_000
    assert found["staging_request_files_bucket", ("10.0", "local_copy")] == 1
    assert found["staging_request_seconds_count", ("local_copy", "failed")] == 2
    assert found["staging_queue_requests", ("local_copy",)] == 1
    assert found["staging_queue_oldest_seconds", ("local_copy",)] > 0
    assert ("staging_reconciler_lag_seconds", ()) in found


def to_hub(database: Database, area: str, destination: str, *, is_known: bool = True) -> str:
    """Write down a request to notebook servers; its run knows its hub, or nobody does."""
    item = StagingItem(source="a", destination=destination)
    asked = StagingRequest(method="jupyter_copy", username="alice", items=(item,), destination_area=area)
    row = create_request(database, asked)
    start_requests(database, [row.id], flow_run_id="run", acting_as="alice")
    if is_known:
        [file] = files_of(database, row.id)
        save_files(database, [{"id": file.id, "link": f"https://hub.example.org/user/alice/lab/tree/{destination}"}])
    return row.id


def test_notebook_servers_are_told_apart_by_the_hubs_that_an_operator_has_named(
    serve: Serve, database_url: str, tmp_path: Path
) -> None:
    starting = Wait("NotebookStarting", "The notebook server of alice is starting")
    with serve(tmp_path, database_url=database_url, prefect_api=NO_PREFECT) as door:
        database = door.database
        fail_request(database, to_hub(database, "user", "a"), NotebookNotStarted("The notebook server of alice", "no"))
        fail_request(database, to_hub(database, "made-up", "b", is_known=False), ConfigurationError("it", "unknown"))
        fail_request(database, id_ := to_hub(database, "second", "c"), SourceNotFound("a"))
        with database.engine.begin() as connection:
            connection.exec_driver_sql(DELIVERED % id_)
        waits, goes_on = to_hub(database, "second", "d"), to_hub(database, "user", "e")
        note_waits(database, {waits: starting, goes_on: starting}, kind="starting")
        note_waits(database, {goes_on: GOES_ON}, kind="waited")
        found = figures(door)

    assert found["staging_requests_total", ("jupyterhub", "jupyter_copy", "NotebookNotStarted", "failed")] == 1
    assert found["staging_requests_total", ("jupyter_copy", "ConfigurationError", "failed")] == 1
    assert found["staging_request_bytes_sum", ("second", "jupyter_copy")] == 5_000_000
    assert [found["staging_starting_requests", (hub,)] for hub in ("jupyterhub", "second")] == [0, 1]
    assert found["staging_starting_oldest_seconds", ("second",)] > 0
    assert not any("made-up" in labels for _, labels in found)


def test_no_user_and_no_path_is_in_the_figures(lone_door: ServedDoor) -> None:
    request_id = lone_door.stage(source="secret-product.fits").json()["request_id"]
    lone_door.client.get(f"/requests/{request_id}")
    lone_door.client.request("BREW", "/no/such-place")
    text = lone_door.client.get("/metrics").text

    assert re.search(r'route="/requests/\{request_id\}"', text)
    assert [word for word in ("alice", request_id, "secret-product", "such-place", "BREW") if word in text] == []


def lines(door: ServedDoor, **params: str | int) -> list[str]:
    return door.client.get("/logs/", params=params).raise_for_status().text.splitlines()


def test_the_logs_last_lines_are_shown_and_some_of_them(lone_door: ServedDoor) -> None:
    for name in ("first", "second", "third"):
        lone_door.stage(username=f"nobody-{name}")

    assert len(lines(lone_door, lines=2)) == 2
    assert all("nobody-second" in line for line in lines(lone_door, contains="nobody-second"))
    refused = lines(lone_door, contains="nobody-", level="warning", lines=2)
    assert ["nobody-second" in refused[0], "nobody-third" in refused[1]] == [True, True]


def test_the_whole_log_is_shown(lone_door: ServedDoor) -> None:
    before = lone_door.log_file.read_text().splitlines()
    shown = lines(lone_door)

    assert len(shown) >= len(before)
    assert shown == lone_door.log_file.read_text().splitlines()[: len(shown)]


def test_a_log_says_whose_it_is(lone_door: ServedDoor) -> None:
    shown = lone_door.client.get("/logs/", params={"lines": 1})
    with lone_door.client.stream("GET", "/logs/stream", params={"lines": 1}) as followed:
        assert [answer.headers["X-Log-Of"] for answer in (shown, followed)] == [socket.gethostname()] * 2


def test_a_log_is_followed_also_when_it_is_turned_over(serve: Serve, tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    call = {"lines": "1", "contains": "4711"}
    with (
        serve(tmp_path, **where) as door,
        door.client.stream("GET", "/logs/stream", params=call, timeout=PATIENCE) as answer,
    ):
        parts_of_it = (part for part in answer.iter_text() if part)
        with door.log_file.open("a") as log:
            log.write('{"event": "4711 here"}\n')
        here = next(parts_of_it)
        door.log_file.rename(tmp_path / "old.log")
        door.log_file.write_text('{"event": "nothing"}\n{"event": "4711 there"}\n')
        there = next(parts_of_it)

    assert (here, there) == ('{"event": "4711 here"}\n', '{"event": "4711 there"}\n')


# A service whose own files are nobody else's.
KEEPS_TO_ITSELF = ["sh", "-c", 'umask 077; exec "$@"', "--"]


@pytest.fixture(scope="module")
def making_door(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDoor]:
    folder = tmp_path_factory.mktemp("making-door")
    where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": NO_PREFECT}
    with serve(folder, **where, prefix=KEEPS_TO_ITSELF, STAGER_CREATE_FILE_BYTES="100") as door:
        folder.joinpath("outside").mkdir()
        door.source.joinpath("out").symlink_to(folder / "outside")
        yield door


def make(door: ServedDoor, path: str, content: str = "Hello") -> httpx.Response:
    return door.client.post("/create-file", json={"path": path, "content": content})


def test_a_small_file_is_made_where_the_operator_allows_it(making_door: ServedDoor) -> None:
    assert make(making_door, "try/File1.txt").status_code == 201
    assert making_door.source.joinpath("try/File1.txt").read_text() == "Hello"
    assert make(making_door, "File2.txt").status_code == 201
    assert make(making_door, "try/File1.txt", "other").status_code == 409
    assert making_door.source.joinpath("try/File1.txt").read_text() == "Hello"
    assert make(making_door, "large", "x" * 101).status_code == 413


def test_a_file_that_is_made_is_for_whoever_stages_whatever_the_services_umask(serve: Serve, tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    before = os.umask(0o077)
    try:
        with serve(tmp_path, **where, STAGER_CREATE_FILE_BYTES="100") as door:
            assert make(door, "try/deeper/File1.txt").status_code == 201
    finally:
        os.umask(before)
    made = [tmp_path / "storage/try", tmp_path / "storage/try/deeper", tmp_path / "storage/try/deeper/File1.txt"]
    assert [path.stat().st_mode & 0o7777 for path in made] == [0o755, 0o755, 0o644]


def test_the_log_is_the_services_alone(making_door: ServedDoor) -> None:
    assert stat.S_IMODE(making_door.log_file.stat().st_mode) == 0o600


def test_no_file_is_made_where_the_operator_says_nothing(lone_door: ServedDoor) -> None:
    assert make(lone_door, "File1.txt").status_code == 403
    assert not lone_door.source.joinpath("File1.txt").exists()


def files_in(door: ServedDoor) -> set[Path]:
    """Return what is there, but for what the service itself keeps in its folder."""
    own = ("records.db", "prefect", "console.log", door.log_file.name)
    return {path for path in door.folder.rglob("*") if not str(path.relative_to(door.folder)).startswith(own)}


@pytest.mark.parametrize("path", ["../x", "/etc/x", "out/x", "a/../../x", "a\0b", "", ".", "x" * 300, "out"])
def test_no_file_is_made_elsewhere(making_door: ServedDoor, path: str) -> None:
    before = files_in(making_door)

    assert make(making_door, path).status_code in {400, 403, 409, 422}
    assert files_in(making_door) == before


def test_the_calls_are_a_page_without_another_hosts_assets(lone_door: ServedDoor) -> None:
    root = lone_door.client.get("/")
    page = lone_door.client.get("/docs")
    assets = re.findall(r'(?:href|src)="([^"]+)"', page.text)

    assert (root.status_code, root.headers["location"]) == (307, "docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert assets
    for asset in assets:
        assert asset.startswith("data:") or lone_door.client.get(f"/{asset}").status_code == 200
        assert "//" not in asset
