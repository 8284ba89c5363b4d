"""What the access file says counts as soon as it says so, and no user chooses who they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.access.conftest import Provider
    from tests.service.conftest import ServedDoor

ISSUER = """
[[issuers]]
url = "{url}"
audiences = ["data-management-api"]
username_claim = "preferred_username"
"""
TABLES = """
[issuers.names]
alice-of-iam = "alice"

[issuers.subjects]
uuid-of-fts = "fts"

[users.fts]
role = "service"
"""
FROM_BEFORE = """
names = { uuid-of-fts = "fts", alice-of-iam = "alice" }

[users.fts]
areas = ["*"]
"""


@pytest.fixture
def door_of(
    site: Provider, serve: Callable[..., AbstractContextManager[ServedDoor]], tmp_path: Path
) -> Callable[[str], AbstractContextManager[ServedDoor]]:
    """Serve a door with the site's issuer and some more in its access file."""

    def door_of(more: str) -> AbstractContextManager[ServedDoor]:
        access_file(tmp_path).write_text(ISSUER.format(url=site.url) + more)
        where = {"database_url": f"sqlite:///{tmp_path}/records.db", "prefect_api": NO_PREFECT}
        return serve(tmp_path, **where, STAGER_ACCESS_FILE=str(access_file(tmp_path)))

    return door_of


def access_file(folder: Path) -> Path:
    return folder / "access.toml"


def ask(door: ServedDoor, provider: Provider, sub: str = "a-uuid", **claims: Any) -> httpx.Response:
    token = provider.token(sub, **claims)
    return door.client.get("/requests", headers={"Authorization": f"Bearer {token}"})


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def tabled_door(door_of: Callable[[str], AbstractContextManager[ServedDoor]]) -> Iterator[ServedDoor]:
    """A door that knows one user by a claim, and one by sub."""
    with door_of(TABLES) as door:
        yield door


def test_no_claim_that_a_user_may_choose_is_taken_for_somebodys_sub(tabled_door: ServedDoor, site: Provider) -> None:
    by_sub = ask(tabled_door, site, "uuid-of-fts", preferred_username="whatever")
    by_claim = ask(tabled_door, site, "uuid-of-alice", preferred_username="alice-of-iam")
    chosen = ask(tabled_door, site, "uuid-of-mallory", preferred_username="uuid-of-fts")
    other_way_round = ask(tabled_door, site, "alice-of-iam", preferred_username="mallory")

    assert [by_sub.status_code, by_claim.status_code] == [200, 200]
    assert [chosen.status_code, other_way_round.status_code] == [403, 403]
    assert chosen.json()["detail"] == "Not allowed: the access file has no user for uuid-of-fts"
    log = tabled_door.log_file.read_text()
    assert '"caller": "fts"' in log
    assert "earlier version" not in log


def test_a_file_from_before_is_told_what_does_not_count_any_more(
    door_of: Callable[[str], AbstractContextManager[ServedDoor]], site: Provider
) -> None:
    with door_of(FROM_BEFORE) as door:
        refused = ask(door, site, "uuid-of-fts", preferred_username="whatever")
        log = door.log_file.read_text()

    assert refused.status_code == 403
    assert f"names of {site.url} counts for values of preferred_username alone" in log
    assert 'of [users.fts] lets nobody stage to any area: say write = [\\"user\\"] too' in log


def test_an_edit_of_the_access_file_counts_without_a_restart_and_a_mistake_in_it_changes_nothing(
    door_of: Callable[[str], AbstractContextManager[ServedDoor]], site: Provider, own_provider: Provider
) -> None:
    with door_of("") as door:
        file = access_file(door.folder)
        alice: dict[str, Any] = {"preferred_username": "alice"}

        def sees_others() -> bool:
            token = site.token(**alice)
            answer = door.client.get("/logs/", params={"lines": 1}, headers={"Authorization": f"Bearer {token}"})
            return answer.status_code == 200

        first = file.read_text()
        assert (ask(door, site, **alice).status_code, ask(door, own_provider, **alice).status_code) == (200, 401)
        assert not sees_others()

        file.write_text(first + ISSUER.format(url=own_provider.url) + '[users.alice]\nrole = "admin"\n')
        eventually(lambda: ask(door, own_provider, **alice).status_code == 200)
        assert sees_others()

        file.write_text("[[issuers]")
        eventually(lambda: "Could not read the access file" in door.log_file.read_text())
        assert (ask(door, site, **alice).status_code, ask(door, own_provider, **alice).status_code) == (200, 200)
        assert sees_others()

        file.unlink()
        eventually(lambda: "No such file" in door.log_file.read_text())
        assert sees_others()

        file.write_text(first)
        eventually(lambda: ask(door, own_provider, **alice).status_code == 401)
        assert ask(door, site, **alice).status_code == 200
        assert not sees_others()
        assert door.log_file.read_text().count("Could not read the access file") == 2
