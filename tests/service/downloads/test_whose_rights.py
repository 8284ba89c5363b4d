"""With whose rights an area is read: the user's, or the service's where the area says so; else it is refused."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.ports import NO_PREFECT
from tests.service.downloads.conftest import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.service.conftest import ServedDoor

    Serve = Callable[..., AbstractContextManager[ServedDoor]]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be somebody else"
)
USERS = "[users.alice]\nuid = 70001\ngid = 70010\n[users.bob]\nuid = 70002\ngid = 70010\n"
AS_SERVICE = {"STAGER_SOURCE_READ_AS": "service", "STAGER_TARGET_READ_AS": "service"}
ROUTES = [("/files/user/file",), ("/files/user/missing",), ("/areas/user/entries",)]
LIMITED = ["setpriv", "--pdeathsig", "TERM", "--bounding-set", "-setuid,-setgid", "--"]


@pytest.fixture(scope="module")
def as_service(serve: Serve) -> Iterator[Shelf]:
    """A shelf in areas that nobody but the service may enter, and that it reads as itself."""
    with open_folder() as folder:
        url = f"sqlite:///{folder}/records.db"
        with serve(folder, database_url=url, prefect_api=NO_PREFECT, **AS_SERVICE) as door:
            (folder / "users.toml").write_text(USERS)
            for path in (door.source / "own", door.user_areas / "alice" / "own", door.user_areas / "bob" / "bobs"):
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"content")
                path.chmod(0o600)
            (door.source / "link").symlink_to("own")
            (door.source / "up").symlink_to("..")
            for name, leads_to in (("link", "own"), ("to-bob", "../bob"), ("bobs", "../bob/bobs")):
                (door.user_areas / "alice" / name).symlink_to(leads_to)
            for area in (door.source, door.user_areas):
                area.chmod(0o700)
            yield Shelf(door)


def ask(shelf: Shelf, address: str, **query: str) -> tuple[int, Any]:
    answer = shelf.door.client.get(address, params={"username": "alice"} | query)
    return answer.status_code, answer.content if answer.is_success else answer.json()["detail"]


def test_an_area_that_the_service_reads_is_sent_and_listed_whatever_its_modes_say(as_service: Shelf) -> None:
    assert ask(as_service, "/files/source/own") == ask(as_service, "/files/user/own") == (200, b"content")
    assert ask(as_service, "/areas/source/entries")[0] == ask(as_service, "/areas/user/entries")[0] == 200
    [record] = [row for row in as_service.downloads_of("own") if row["source_area"] == "user"]
    assert record["acting_as"] == "the service (uid 0) for alice"


def test_the_service_follows_no_link_with_its_own_rights(as_service: Shelf) -> None:
    source = as_service.door.source
    why = "the service follows no symbolic link in this area"
    for path in ("link", "up", "up/users.toml"):
        assert ask(as_service, f"/files/source/{path}") == (403, f"Source cannot be read: {source / path}: {why}")


def test_what_lies_outside_a_users_folder_is_not_there_for_the_service_either(as_service: Shelf) -> None:
    home = as_service.door.user_areas / "alice"
    for path in ("link", "bobs", "to-bob/bobs", "to-bob/missing", "missing"):
        nothing = (404, f"Source path does not exist: {home / path}")
        assert ask(as_service, f"/files/user/{path}") == nothing
        assert ask(as_service, "/areas/user/entries", path=path) == nothing


def test_a_root_that_may_be_nobody_else_reads_for_no_user_where_the_area_does_not_say_so(
    serve: Serve, open_path: Path
) -> None:
    settings = {"STAGER_SOURCE_READ_AS": "service"}
    with serve(
        open_path, database_url=f"sqlite:///{open_path}/records.db", prefect_api=NO_PREFECT, prefix=LIMITED, **settings
    ) as door:
        (open_path / "users.toml").write_text(USERS)
        (door.user_areas / "alice").mkdir()
        for folder in (door.source, door.user_areas / "alice"):
            (folder / "file").write_bytes(b"content")
        shelf = Shelf(door)
        sent = ask(shelf, "/files/source/file")
        refused = [ask(shelf, *route) for route in ROUTES]
        [told] = warnings(door)  # a service that stops does not go on telling

    assert sent == (200, b"content")
    why = "the service runs as uid 0 and cannot read with the rights of alice; the operator may set read_as: service"
    assert refused == [(403, f"Source cannot be read: {door.user_areas}: {why} for user")] * len(ROUTES)
    assert (told["area"], told["reason"]) == ("user", "the service runs as uid 0 and may not become another user")


def test_who_starts_the_service_is_told_which_area_users_cannot_read_and_what_to_set(
    serve: Serve, tmp_path: Path
) -> None:
    with serve(tmp_path, database_url=f"sqlite:///{tmp_path}/records.db", prefect_api=NO_PREFECT) as door:
        [told] = warnings(door)

    assert (told["area"], told["reason"]) == ("source", "users may not enter it")
    assert told["event"].endswith("; the operator may set read_as: service for it")


def warnings(door: ServedDoor) -> list[dict[str, Any]]:
    """Return what the log says of areas, once it has said it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lines = map(json.loads, door.log_file.read_text().splitlines())
        if found := [line for line in lines if line["event"].startswith("Users cannot read")]:
            return found
        time.sleep(0.1)
    pytest.fail(door.log_file.read_text())
