"""A run asks again what the door asked: a request may be recorded before a site's rules change, or by another door."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.storage_area import StorageAreaBlock
from stager.settings import Settings
from tests.flows.conftest import Site, site_of
from tests.ports import NO_PREFECT

# Says what a run would be refused for, or the ids and groups that it would have.
RESOLVE = """
import sys
from stager.errors import StagingError
from stager.records.requests import get_request
from tasks.database import records_database
from stager.runs.resolve import Resolver
try:
    identity = Resolver(get_request(records_database(), sys.argv[1])).identity
    print(identity.uid, identity.groups)
except StagingError as error:
    print(type(error).__name__, error.http_status, error.message)
"""


@pytest.fixture
def lone_site(tmp_path: Path) -> Iterator[Site]:
    """A site whose Prefect is away: the settings' areas count."""
    with site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", NO_PREFECT) as site:
        site.settings["PREFECT_CLIENT_MAX_RETRIES"] = "0"
        yield site


def resolved(site: Site, request_id: str) -> str:
    with site.forked(textwrap.dedent(RESOLVE), request_id) as process:
        return site.ended(process)[0]


def test_a_run_stages_nothing_to_an_area_that_is_no_destination(lone_site: Site) -> None:
    request = lone_site.request(("a.fits", "planted.fits"), to="source")

    assert resolved(lone_site, request) == (
        "AreaNotWritable 403 Nothing can be staged to the storage area source: it is not a destination"
    )


def test_a_run_is_for_no_account_of_the_systems_where_authentication_is_on(lone_site: Site) -> None:
    (lone_site.folder / "users.toml").write_text("[users.alice]\nuid = 104\ngid = 70002\ngroups = [27, 70003]\n")
    request = lone_site.request(("a.fits", "b.fits"))
    assert resolved(lone_site, request) == "104 (27, 70002, 70003)"

    lone_site.settings["STAGER_ACCESS_FILE"] = "access.toml"
    assert resolved(lone_site, request) == (
        "SystemAccount 403 User alice has a system account: its uid is 104, and a user's is 1000 or more"
        " (STAGER_LEAST_ID)"
    )
    lone_site.settings["STAGER_LEAST_ID"] = "100"
    assert resolved(lone_site, request) == "104 (70002, 70003)"


def test_a_block_from_before_areas_had_a_direction_is_a_destination_where_it_has_users_folders() -> None:
    blocks = {
        per_user: StorageAreaBlock.model_validate({"path": "/data", "per_user": per_user}) for per_user in (True, False)
    }

    assert {per_user: block.area("a").is_destination for per_user, block in blocks.items()} == {
        True: True,
        False: False,
    }
    said = {"path": "/data", "per_user": True, "is_destination": False}
    assert not StorageAreaBlock.model_validate(said).area("a").is_destination


def test_authentication_decides_whether_ids_have_a_least_value() -> None:
    assert Settings().least_user_id == 0
    assert Settings(access_file=Path("access.toml")).least_user_id == 1000
