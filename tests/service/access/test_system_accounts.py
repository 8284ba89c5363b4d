"""Where authentication is on nobody is root, nor another account of the system's, by whichever door they come."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.ports import NO_PREFECT
from tests.service.access.conftest import ONE_ISSUER

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

GRANTS = """
[everyone]
methods = ["*"]
read = ["*"]
write = ["*"]
"""
STAGING = {"method": "local_copy"}
ITEM = {"source": "a.fits", "destination": "b.fits"}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a request": ("POST", "/requests", {"json": {**STAGING, "items": [ITEM]}}),
    "a manifest": (
        "POST",
        "/requests/from-manifest",
        {
            "params": STAGING,
            "content": b"source,destination\na.fits,b.fits\n",
            "headers": {"Content-Type": "text/csv"},
        },
    ),
    "the demo's call": (
        "POST",
        "/stage_data",
        {"params": STAGING, "json": {"data": {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}}},
    ),
    "the demo's download": (
        "POST",
        "/stage_data",
        {
            "params": {"method": "direct_download"},
            "json": {"data": {"local_path_on_storage": "a.fits", "relative_path": "b.fits"}},
        },
    ),
    "a download": ("GET", "/files/source/a.fits", {}),
    "a listing": ("GET", "/areas/source/entries", {}),
    "a Tape request": ("POST", "/api/v1/stage", {"json": {"files": [{"path": "/a.fits"}]}}),
}


@pytest.fixture(scope="module")
def door_by_system(
    site: Provider,
    serve: Callable[..., AbstractContextManager[ServedDoor]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedDoor]:
    """A door with authentication on and no users file: the system's accounts count."""
    folder = tmp_path_factory.mktemp("door-by-system")
    (folder / "access.toml").write_text(ONE_ISSUER.format(url=site.url) + GRANTS)
    where = {"database_url": f"sqlite:///{folder}/records.db", "prefect_api": NO_PREFECT}
    file = {"STAGER_ACCESS_FILE": str(folder / "access.toml")}
    with without_users_file(serve, folder, **where, **file, STAGER_WAIT="0") as door:
        door.source.joinpath("a.fits").write_bytes(b"SIMPLE")
        yield door


def without_users_file(
    serve: Callable[..., AbstractContextManager[ServedDoor]], folder: Path, **settings: str
) -> AbstractContextManager[ServedDoor]:
    """Serve a door whose users file has the system's accounts, as they would count without one."""
    lines = [f"[users.{one.pw_name}]\nuid = {one.pw_uid}\ngid = {one.pw_gid}\n" for one in pwd.getpwall()]
    (folder / "accounts.toml").write_text("".join(lines))
    return serve(folder, **settings, STAGER_USERS_FILE=str(folder / "accounts.toml"))


def call(door: ServedDoor, provider: Provider, name: str, what: str) -> httpx.Response:
    verb, path, more = CALLS[what]
    headers = {**more.get("headers", {}), "Authorization": f"Bearer {provider.token(preferred_username=name)}"}
    return door.client.request(verb, path, **{**more, "headers": headers})


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("name", ["root", "daemon"])
def test_a_token_named_like_an_account_of_the_systems_is_no_users(
    door_by_system: ServedDoor, site: Provider, name: str, what: str
) -> None:
    answer = call(door_by_system, site, name, what)

    uid = pwd.getpwnam(name).pw_uid
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "system-account")
    assert answer.json()["detail"] == (
        f"User {name} has a system account: its uid is {uid}, and a user's is 1000 or more (STAGER_LEAST_ID)"
    )


def test_no_tape_call_tells_an_account_of_the_systems_where_files_are(
    door_by_system: ServedDoor, site: Provider
) -> None:
    headers = {"Authorization": f"Bearer {site.token(preferred_username='root')}"}
    answer = door_by_system.client.post("/api/v1/archiveinfo", json={"paths": ["/a.fits"]}, headers=headers)

    [about] = answer.json()
    assert "locality" not in about
    assert "STAGER_LEAST_ID" in about["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which runs the service then")
def test_where_authentication_is_off_the_account_that_runs_the_service_stages_for_itself(
    serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path: Path
) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
    with without_users_file(serve, tmp_path, **where, STAGER_WAIT="0") as door:
        door.source.joinpath("a.fits").write_bytes(b"SIMPLE")
        assert door.ask(username="root").status_code == 202
        assert door.client.get("/files/source/a.fits", params={"username": "root"}).content == b"SIMPLE"
