from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from stager.errors import LeaseLost
from stager.models import StagingItem, StagingRequest
from stager.paths import locate, user_folder
from stager.records.database import Database
from stager.records.database.columns import is_mysql
from stager.records.events import events_of
from stager.records.items import destination_key, files_of, key_of, save_files
from stager.records.leases import (
    BusyDestination,
    acquire_leases,
    confirm_lease,
    lease_in,
    leased_among,
    release_leases,
    renew_leases,
)
from stager.records.requests import create_request
from stager.records.tables import DESTINATIONS, StagedFile
from tests.patience import PATIENCE

USERS, SHARED = Path("/users"), Path("/projects")


def submit(database: Database, *paths: str, username: str = "alice", area: Path = USERS) -> list[StagedFile]:
    """Record a request whose run has found its destinations."""
    items = tuple(StagingItem(source=path, destination=path) for path in paths)
    row = create_request(database, StagingRequest(method="local_copy", username=username, items=items))
    root = user_folder(area, username) if area == USERS else area
    places = {file.id: locate(root, file.relative_path) for file in files_of(database, row.id)}
    save_files(database, [{"id": i, "destination_key": destination_key(place)} for i, place in places.items()])
    return list(files_of(database, row.id))


def take(
    database: Database, *paths: str, holder: str, seconds: float = 60, username: str = "alice"
) -> tuple[list[StagedFile], list[BusyDestination]]:
    """Have a writer take some of alice's places for a request of its own; return the files, and what it waits for."""
    files = submit(database, *paths, username=username)
    places = [locate(USERS / "alice", path).key for path in paths]
    named = {file.destination_key: place for file, place in zip(files, places, strict=True)}
    return files, acquire_leases(database, files, holder=holder, seconds=seconds, places=named)


def writer_of(database: Database, file: StagedFile) -> str | None:
    lease = database.write(lambda session: lease_in(session, file.destination_key))
    return lease.holder if lease else None


def test_what_is_free_is_taken_and_what_another_writer_holds_is_told(database: Database) -> None:
    [held] = submit(database, "b")
    assert acquire_leases(database, [held], holder="one", seconds=60) == []
    files = submit(database, "a", "b", "c")
    [busy] = acquire_leases(database, files, holder="two", seconds=60)
    assert (busy.file, busy.holder, busy.request_id) == (files[1], "one", held.request_id)
    assert str(busy.expires_at.tzinfo) == "UTC"
    confirm_lease(database, files[0], holder="two", seconds=60)
    confirm_lease(database, files[2], holder="two", seconds=60)
    with pytest.raises(LeaseLost):
        confirm_lease(database, files[1], holder="two", seconds=60)


def test_a_lease_that_has_ended_is_taken_over_and_its_writer_cannot_publish(database: Database) -> None:
    [first], [second] = submit(database, "a"), submit(database, "a")
    acquire_leases(database, [first], holder="one", seconds=0)
    assert acquire_leases(database, [second], holder="two", seconds=60) == []
    assert writer_of(database, second) == "two"
    with pytest.raises(LeaseLost):
        confirm_lease(database, first, holder="one", seconds=60)
    assert renew_leases(database, holder="one", seconds=60) == 0
    assert "taken over from one" in events_of(database, second.request_id)[-1].detail


def test_by_the_first_digits_of_its_key_a_destination_is_known_to_have_another_living_writer(
    database: Database,
) -> None:
    [living], [ended] = submit(database, "a"), submit(database, "b")
    acquire_leases(database, [living], holder="one", seconds=60)
    acquire_leases(database, [ended], holder="one", seconds=0)
    digits = living.destination_key[:16]
    asked = {digits, ended.destination_key[:16], *(f"{number:016x}" for number in range(2500)), "%" * 16}
    found = [
        leased_among(database, some, but_by=holder) for some, holder in ((asked, "two"), (asked, "one"), ((), "two"))
    ]
    assert found == [{digits}, set(), set()]


def test_a_late_writer_that_nobody_has_overtaken_goes_on(database: Database) -> None:
    [file] = submit(database, "a")
    acquire_leases(database, [file], holder="one", seconds=0)
    confirm_lease(database, file, holder="one", seconds=60)
    assert len(acquire_leases(database, [file], holder="two", seconds=60)) == 1


def test_taking_it_again_extends_it(database: Database) -> None:
    [file] = submit(database, "a")
    acquire_leases(database, [file], holder="one", seconds=0)
    assert acquire_leases(database, [file], holder="one", seconds=60) == []
    assert writer_of(database, file) == "one"
    assert len(acquire_leases(database, [file], holder="two", seconds=60)) == 1


def test_a_renewed_lease_lives_on(database: Database) -> None:
    files = submit(database, "a", "b")
    acquire_leases(database, files, holder="one", seconds=0)
    assert renew_leases(database, holder="one", seconds=60) == 2
    assert len(acquire_leases(database, files, holder="two", seconds=60)) == 2


def test_what_is_given_back_is_free_and_what_is_not_stays(database: Database) -> None:
    files = submit(database, "a", "b", "c")
    acquire_leases(database, files[:1], holder="one", seconds=60)
    acquire_leases(database, files[1:], holder="another", seconds=60)
    release_leases(database, holder="one")
    release_leases(database, holder="two")
    busy = acquire_leases(database, files, holder="two", seconds=60)
    assert {one.file.id for one in busy} == {file.id for file in files[1:]}
    release_leases(database, holder="another")
    assert acquire_leases(database, files, holder="two", seconds=60) == []


def test_two_files_with_one_destination_have_one_writer(database: Database) -> None:
    files = submit(database, "a/b") + submit(database, "./a//b/")
    [busy] = acquire_leases(database, files, holder="one", seconds=60)
    assert (busy.file, busy.request_id) == (files[1], files[1].request_id)


def test_users_have_their_own_destinations_but_in_a_shared_area(database: Database) -> None:
    own = submit(database, "a") + submit(database, "a", username="bob")
    assert acquire_leases(database, own, holder="one", seconds=60) == []
    shared = submit(database, "a", area=SHARED) + submit(database, "a", username="bob", area=SHARED)
    assert [busy.file for busy in acquire_leases(database, shared, holder="one", seconds=60)] == shared[1:]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("users", "a/b", "alice"), ("", "users/alice/a/b", None)),
        (("users", "a/b", None), ("mounted", "a/b", None)),
        (("users", "a/b", None), ("users/../users/", "./a//b/", None)),
    ],
)
def test_one_place_has_one_key_through_whichever_area(
    tmp_path: Path, first: tuple[str, str, str | None], second: tuple[str, str, str | None]
) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "mounted").symlink_to("users")
    (tmp_path / "users/alice").mkdir()
    roots = [user_folder(tmp_path / area, user) if user else tmp_path / area for area, _, user in (first, second)]
    keys = {destination_key(locate(root, path)) for root, (_, path, _) in zip(roots, (first, second), strict=True)}
    assert len(keys) == 1


@pytest.mark.any_python
def test_ten_thousand_destinations_are_taken_at_once(database: Database) -> None:
    files = submit(database, *(str(number) for number in range(10_000)))
    assert acquire_leases(database, files, holder="one", seconds=60) == []
    assert renew_leases(database, holder="one", seconds=60) == 10_000
    assert len(acquire_leases(database, files, holder="two", seconds=60)) == 10_000


@pytest.mark.parametrize("earlier", [0, 40], ids=["new", "ended"])
def test_batches_that_overlap_in_any_order_neither_block_nor_share(database: Database, earlier: int) -> None:
    files = submit(database, *(str(number) for number in range(40)))
    acquire_leases(database, files[:earlier], holder="an earlier writer", seconds=0)
    together = threading.Barrier(8)

    def take(number: int) -> set[int]:
        mine = files[number * 3 :] + files[: number * 3]
        mine = mine[::-1] if number % 2 else mine
        together.wait()
        busy = acquire_leases(database, mine, holder=f"writer {number}", seconds=60)
        return {file.id for file in mine} - {one.file.id for one in busy}

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    assert sorted(file_id for ids in taken for file_id in ids) == sorted(file.id for file in files)


WRITER = """
import os, sys, time
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.leases import BusyDestination, acquire_leases, confirm_lease, release_leases
url, request_id, mark = sys.argv[1:]
database, holder, done = Database(url, patience=60), f"process {os.getpid()}", 0
[file] = files_of(database, request_id)
while done < 5:
    if acquire_leases(database, [file], holder=holder, seconds=60):
        time.sleep(0.001)
        continue
    confirm_lease(database, file, holder=holder, seconds=60)
    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    os.unlink(mark)
    release_leases(database, holder=holder)
    done += 1
"""


@pytest.mark.any_python
def test_of_many_processes_one_writes_at_a_time(database: Database, tmp_path: Path) -> None:
    [file] = submit(database, "a")
    url = database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITER, url, file.request_id, str(tmp_path / "mark")]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    errors = [writer.communicate(timeout=PATIENCE)[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, errors


FOLDER, LONG = "/users/alice/run1", "n" * 250 + "/" + "n" * 250 + "/" + "n" * 250 + "/" + "n" * 250


@pytest.mark.parametrize(
    ("held", "wanted", "other"),
    [
        ("run1", "run1/extra.fits", FOLDER),
        ("run1", "run1/a/b/c/extra.fits", FOLDER),
        ("run1/extra.fits", "run1", f"{FOLDER}/extra.fits"),
        ("run1/a/b/c/extra.fits", "run1", f"{FOLDER}/a/b/c/extra.fits"),
        ("a/\udcff", "a/\udcff/b", "/users/alice/a/\udcff"),
        (f"{LONG}/b", LONG, f"/users/alice/{LONG}/b"),
        ("run1", "run1", None),
    ],
)
def test_what_lies_inside_anothers_place_or_around_it_is_waited_for(
    database: Database, held: str, wanted: str, other: str | None
) -> None:
    [first], _ = take(database, held, holder="one")
    (_, file), [busy] = take(database, "free", wanted, holder="two")
    assert (busy.file, busy.holder, busy.request_id, busy.place) == (file, "one", first.request_id, other)
    with pytest.raises(LeaseLost):
        confirm_lease(database, file, holder="two", seconds=60)
    release_leases(database, holder="one")
    [third], busy_then = take(database, wanted, holder="three")
    assert busy_then == []
    confirm_lease(database, third, holder="three", seconds=60)


@pytest.mark.parametrize(("held", "wanted"), [("run1", "run1/a"), ("run1/a", "run1")])
@pytest.mark.parametrize("seconds", [60.0, 0.0])
def test_who_names_a_folder_keeps_no_other_user_from_what_lies_in_it(
    database: Database, held: str, wanted: str, seconds: float
) -> None:
    [first], _ = take(database, held, holder="mallory's", seconds=seconds, username="mallory")
    assert take(database, wanted, holder="alice's")[1] == []
    assert writer_of(database, first) == "mallory's"


@pytest.mark.parametrize(
    "wanted", ["run10", "run1.fits", "Run1/b", "run1 /b", "run", "ru/n1", "run1\udcff/b", "other/run1/b", f"{LONG}2/b"]
)
def test_what_lies_beside_anothers_place_is_free(database: Database, wanted: str) -> None:
    take(database, "run1", LONG, holder="one")
    assert take(database, wanted, holder="two")[1] == []


def test_who_waits_for_what_is_around_keeps_nobody_else_waiting(database: Database) -> None:
    take(database, "run1", holder="one")
    assert len(take(database, "run1/extra.fits", holder="two")[1]) == 1
    release_leases(database, holder="one")
    for place in ("run1", "run1/extra.fits"):
        [file], busy = take(database, place, holder="three")
        release_leases(database, holder="three")
        assert (busy, [one.kind for one in events_of(database, file.request_id)]) == ([], ["submitted"])


def test_one_writer_may_have_places_inside_each_other(database: Database) -> None:
    assert take(database, "run1/extra.fits", holder="one")[1] == []
    assert take(database, "run1", holder="one")[1] == []


@pytest.mark.parametrize(("held", "wanted"), [("run1", "run1/extra.fits"), ("run1/extra.fits", "run1")])
def test_a_lease_that_has_ended_is_taken_over_by_what_lies_inside_or_around(
    database: Database, held: str, wanted: str
) -> None:
    (first, _), _ = take(database, held, "elsewhere", holder="one", seconds=0)
    [second], busy = take(database, wanted, holder="two")
    assert busy == []
    assert "taken over from one" in events_of(database, second.request_id)[-1].detail
    assert renew_leases(database, holder="one", seconds=60) == 1
    with pytest.raises(LeaseLost):
        confirm_lease(database, first, holder="one", seconds=60)


def test_of_places_inside_each_other_one_is_written_at_a_time(database: Database) -> None:
    """Whoever has one sees nobody at another: at once and in any order, as from several machines."""
    places = ["run1", "run1/a", "run1/a/b", "run1/c"] * 2
    files = [submit(database, place)[0] for place in places]
    together, written, seen = threading.Barrier(len(places)), set[str](), list[set[str]]()

    def write(number: int) -> None:
        place = locate(USERS / "alice", places[number]).key
        named = {key_of(place): place}
        together.wait()
        for _ in range(5):
            while acquire_leases(database, [files[number]], holder=f"writer {number}", seconds=600, places=named):
                time.sleep(0.01)
            written.add(place)
            confirm_lease(database, files[number], holder=f"writer {number}", seconds=600)
            seen.append(
                {one for one in set(written) if f"{one}/".startswith(f"{place}/") or place.startswith(f"{one}/")}
            )
            written.remove(place)
            release_leases(database, holder=f"writer {number}")

    with ThreadPoolExecutor(len(places)) as pool:
        list(pool.map(write, range(len(places))))
    assert {len(some) for some in seen} == {1}


def test_places_in_thousands_of_folders_are_taken_as_well(database: Database) -> None:
    paths = [f"{number}/{'d/' * 1990}" for number in range(20)]
    take(database, f"{paths[7]}a", f"{paths[9]}b/c", holder="one")
    files, busy = take(database, *(f"{path}a/b" for path in paths), holder="two")
    assert [one.file for one in busy] == [files[7]]


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Give the statements that the body has executed, with what was put into them."""
    found: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        found.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("count", [2, 300])
def test_leases_inside_and_around_are_found_by_an_index_however_few_there_are(database: Database, count: int) -> None:
    with statements(database) as found:
        take(database, *(f"run{number}/a" for number in range(count)), holder="one")
    reads = [one for one in found if "destination >" in one[0]]
    asked = "EXPLAIN" if is_mysql(database.engine.dialect) else "EXPLAIN QUERY PLAN"
    with database.engine.connect() as connection:
        plans = [connection.exec_driver_sql(f"{asked} {sql}", parameters).mappings().all() for sql, parameters in reads]
    used = {
        str(step.get("key") or step["detail"])
        for plan in plans
        for step in plan
        if step.get("detail") != "MULTI-INDEX OR"
    }
    assert {DESTINATIONS in one for one in used if not one.startswith("INDEX ")} == {True}, used
