"""Debian's gfal2 with a bearer token: whoever the token says asks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.records.requests import get_request
from tests.gfal import Gfal, find_gfal, make_certificate
from tests.open_folder import open_folder
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

pytestmark = pytest.mark.any_database

RULES = """
[[issuers]]
url = "{issuer}"
audiences = ["data-management-api"]
username_claim = "preferred_username"

[groups.science]
methods = ["*"]
read = ["*"]
write = ["user"]
"""


@pytest.fixture
def gfal(tmp_path: Path) -> Gfal:
    """Debian's gfal2, which trusts a certificate of ours."""
    return find_gfal(make_certificate(tmp_path))


@pytest.fixture
def tls_door(
    gfal: Gfal,
    site: Provider,
    database_url: str,
    serve: Callable[..., AbstractContextManager[ServedDoor]],
    tmp_path: Path,
) -> Iterator[ServedDoor]:
    """A door by TLS with authentication on."""
    (tmp_path / "access.toml").write_text(RULES.format(issuer=site.url))
    ids = f"uid = {os.getuid() or 70_001}\ngid = {os.getgid() or 70_001}\n"
    (tmp_path / "people.toml").write_text(f"[users.alice]\n{ids}[users.bob]\n{ids}")
    with (
        open_folder() as folder,
        serve(
            folder,
            database_url=database_url,
            prefect_api=NO_PREFECT,
            certificate=gfal.trusted,
            STAGER_ACCESS_FILE=str(tmp_path / "access.toml"),
            STAGER_USERS_FILE=str(tmp_path / "people.toml"),
        ) as door,
    ):
        yield door


def test_gfal_stages_for_whom_its_bearer_token_says(gfal: Gfal, tls_door: ServedDoor, site: Provider) -> None:
    alice, bob = (site.token(preferred_username=name, groups=["science"]) for name in ("alice", "bob"))
    urls = [f"davs://{tls_door.url.removeprefix('https://')}/a.fits"]
    ours = gfal("bring_online", urls=urls, metadata=[""], pin=3600, bearer_token=alice)
    (tls_door.source / "a.fits").write_bytes(b"data")
    (tls_door.user_areas / "alice").mkdir()
    (tls_door.user_areas / "alice" / "a.fits").write_bytes(b"data")

    assert get_request(tls_door.database, ours["token"]).username == "alice"
    assert gfal("bring_online", urls=urls, metadata=[""], pin=3600)["token"] == ""
    assert gfal("abort", urls=urls, token=ours["token"], bearer_token=bob) != [None]
    assert gfal("abort", urls=urls, token=ours["token"], bearer_token=alice) == [None]

    def status(token: str) -> str:
        return str(gfal("attribute", url=urls[0], name="user.status", bearer_token=token)).strip()

    assert (status(alice), status(bob)) == ("ONLINE_AND_NEARLINE", "NEARLINE")
    (tls_door.source / "a.fits").unlink()
    assert status(alice) == "ONLINE"
    assert tls_door.client.post(
        "/api/v1/archiveinfo", json={"paths": ["/a.fits"]}, headers={"Authorization": f"Bearer {alice}"}
    ).json() == [{"path": "/a.fits", "locality": "DISK"}]
