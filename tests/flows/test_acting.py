"""A run that root started works with the rights of its user, and shows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.models import Status
from stager.paths import locate
from stager.privileges import Capability
from stager.records import acquire_leases, destination_key, get_request, release_leases

if TYPE_CHECKING:
    from conftest import Site

pytestmark = [pytest.mark.stack, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")]
C, F = Status.COMPLETED, Status.FAILED
UIDS = {"alice": 70_001, "bob": 70_002}
GID, GROUP = 70_010, 70_011
ALICE = f"alice (uid {UIDS['alice']}, gid {GID})"


@pytest.fixture
def shut(site: Site) -> Site:
    """A site whose users are somebody, and whose records and users file are for root alone."""
    (site.folder / "users.toml").write_text(
        "".join(f"[users.{name}]\nuid = {uid}\ngid = {GID}\ngroups = [{GROUP}]\n" for name, uid in UIDS.items())
    )
    for path in (site.folder, site.folder / "storage", site.users):
        path.chmod(0o755)
    for path in (site.folder / "users.toml", *site.folder.glob("records.db*")):
        path.chmod(0o600)
    return site


def seen_while_it_runs(site: Site, method: str = "local_copy") -> tuple[dict[str, str], str]:
    """Return what the kernel says of a run's process before it writes anything, and the run's request."""
    request_id = site.request(("a.fits", "b.fits"), method=method)
    [held] = site.files(request_id)
    held.destination_key = destination_key(locate(site.users, "alice/b.fits"))
    held.request_id = "another"
    acquire_leases(site.database, [held], holder="another run", seconds=600)
    with site.running(method, request_id) as process:
        site.eventually(lambda: site.statuses([request_id]) == [Status.STARTED])
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        release_leases(site.database, holder="another run")
        assert site.ended(process)[0].startswith("Completed")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}, request_id


def test_a_run_becomes_its_user_for_good(shut: Site) -> None:
    seen, request_id = seen_while_it_runs(shut)
    assert seen["Uid"].split() == [str(UIDS["alice"])] * 4
    assert seen["Gid"].split() == [str(GID)] * 4
    assert seen["Groups"].split() == [str(GID), str(GROUP)]
    assert {int(seen[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}
    assert seen["NoNewPrivs"] == "1"
    assert get_request(shut.database, request_id).acting_as == ALICE
    assert (shut.users / "alice").stat().st_uid == UIDS["alice"]
    assert (shut.users / "alice/b.fits").stat().st_uid == UIDS["alice"]


def test_a_run_of_one_user_cannot_read_a_file_of_another(shut: Site) -> None:
    theirs = shut.folder / "storage/bobs.fits"
    theirs.write_bytes(b"for Bob alone")
    theirs.chmod(0o600)
    os.chown(theirs, UIDS["bob"], GID)
    ids = [shut.request(("bobs.fits", "b.fits"), username=name) for name in UIDS]
    for request_id in ids:
        shut.run("local_copy", request_id)
    assert shut.statuses(ids) == [F, C]
    assert [file.error_type for file in shut.files(ids[0])] == ["SourceUnreadable"]
    assert list((shut.users / "alice").iterdir()) == []


def test_where_an_area_is_closed_to_users_a_run_keeps_reading_and_no_more(shut: Site) -> None:
    (shut.folder / "storage").chmod(0o700)
    seen, request_id = seen_while_it_runs(shut)
    assert int(seen["CapEff"], 16) == int(seen["CapPrm"], 16) == 1 << Capability.CAP_DAC_READ_SEARCH
    assert seen["Uid"].split() == [str(UIDS["alice"])] * 4
    assert get_request(shut.database, request_id).acting_as == f"{ALICE} with CAP_DAC_READ_SEARCH"


def test_a_hard_link_needs_one_privilege_and_keeps_no_other(shut: Site) -> None:
    seen, request_id = seen_while_it_runs(shut, "symlink_copy")
    assert int(seen["CapEff"], 16) == int(seen["CapPrm"], 16) == 1 << Capability.CAP_FOWNER
    assert get_request(shut.database, request_id).acting_as == f"{ALICE} with CAP_FOWNER"
    assert (shut.users / "alice/b.fits").samefile(shut.folder / "storage/a.fits")


def test_where_the_user_may_not_write_root_does_and_gives_it_to_them(shut: Site) -> None:
    (shut.users / "alice").mkdir(mode=0o755)
    request_id = shut.request(("a.fits", "b.fits"))
    shut.run("local_copy", request_id)
    assert shut.statuses([request_id]) == [C]
    assert get_request(shut.database, request_id).acting_as == f"root for {ALICE}, who may not write there"
    assert (shut.users / "alice/b.fits").stat().st_uid == UIDS["alice"]


def test_a_run_for_several_users_stays_root(shut: Site) -> None:
    ids = [shut.request(("a.fits", "b.fits"), username=name) for name in UIDS]
    shut.run("local_copy", *ids)
    assert shut.statuses(ids) == [C, C]
    assert {get_request(shut.database, one).acting_as for one in ids} == {f"root for {ALICE}"}


def test_what_a_user_may_not_write_fails_alone(shut: Site) -> None:
    ids = [shut.request(("a.fits", place)) for place in ("b.fits", "closed/b.fits")]
    (shut.users / "alice/closed").mkdir(parents=True, mode=0o700)
    os.chown(shut.users / "alice", UIDS["alice"], GID)
    shut.run("local_copy", *ids)
    assert shut.statuses(ids) == [C, F]
    assert [file.error_type for file in shut.files(ids[1])] == ["DestinationNotWritable"]
