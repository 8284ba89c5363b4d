"""A run that root started works with the rights of its user, and shows it."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from stager.models import Status
from stager.paths import locate
from stager.records.events import events_of
from stager.records.items import destination_key
from stager.records.leases import acquire_leases, release_leases
from stager.records.requests import get_request
from stager.vocabulary import Expand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.conftest import Running, Site

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.stack,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else"),
]
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


def status_of(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process, proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mover_of(run: Running) -> psutil.Process:
    """Return a run's mover."""
    family = psutil.Process(run.pid).children(recursive=True)
    (mover,) = [one for one in family if one.uids().real in UIDS.values()]
    return mover


@contextmanager
def waiting(site: Site, *more: str) -> Iterator[tuple[list[str], Running, psutil.Process]]:
    """Give two requests, their run, which waits for a destination until the leases are released, and its mover.

    The run has more requests to do afterwards.
    """
    ids = [site.request(("a.fits", name)) for name in ("b.fits", "c.fits")]
    [held] = site.files(ids[0])
    held.destination_key = destination_key(locate(site.users / "alice", "b.fits"))
    held.request_id = "another"
    acquire_leases(site.database, [held], holder="another run", seconds=600)
    with site.running("local_copy", *ids, *more) as process:
        site.eventually(lambda: "waiting" in {event.kind for event in events_of(site.database, ids[0])})
        yield ids, process, mover_of(process)


def go_on(site: Site) -> None:
    """Let a run that waits have its destination."""
    release_leases(site.database, holder="another run")


def test_the_run_stays_the_services_and_its_mover_is_the_user_for_good(shut: Site) -> None:
    with waiting(shut) as (ids, process, mover):
        of_run, of_mover = status_of(process.pid), status_of(mover.pid)
        environment = Path(f"/proc/{mover.pid}/environ").read_bytes()
        opened = [str(link.readlink()) for link in Path(f"/proc/{mover.pid}/fd").iterdir()]
        go_on(shut)
        assert shut.ended(process)[0].startswith("Completed")
    assert of_run["Uid"].split() == ["0"] * 4
    assert of_mover["Uid"].split() == [str(UIDS["alice"])] * 4
    assert of_mover["Gid"].split() == [str(GID)] * 4
    assert of_mover["Groups"].split() == [str(GID), str(GROUP)]
    assert {int(of_mover[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}
    assert of_mover["NoNewPrivs"] == "1"
    assert environment == b""
    assert not [name for name in opened if "records" in name]
    assert len([name for name in opened if name.startswith("socket:")]) == 1
    assert get_request(shut.database, ids[0]).acting_as == ALICE
    assert (shut.users / "alice").stat().st_uid == UIDS["alice"]
    assert (shut.users / "alice/b.fits").stat().st_uid == UIDS["alice"]


def test_who_stops_their_mover_ends_their_items_and_holds_nobody_up(shut: Site) -> None:
    shut.settings["STAGER_MOVER_SILENCE"] = "10"
    same_place = shut.request(("a.fits", "b.fits"))  # so it is in the run's next batch
    with waiting(shut, same_place) as (ids, process, mover):
        mover.suspend()
        others = shut.request(("a.fits", "b.fits"), username="bob")
        shut.run("local_copy", others)
        assert shut.statuses([others]) == [C]
        go_on(shut)
        assert shut.ended(process)[0].startswith("Failed")
        assert not mover.is_running()
    assert shut.statuses([*ids, same_place]) == [F, F, C]
    assert [file.error_type for one in ids for file in shut.files(one)] == ["MoverLost", "MoverLost"]
    assert "has not answered for 10 s" in str(get_request(shut.database, ids[0]).error_reason)


def test_a_mover_that_was_killed_between_two_batches_is_another(shut: Site) -> None:
    with waiting(shut) as (ids, process, mover):
        mover.kill()
        mover.wait()
        go_on(shut)
        assert shut.ended(process)[0].startswith("Completed")
    assert shut.statuses(ids) == [C, C]


def test_a_run_that_is_killed_leaves_no_mover(shut: Site) -> None:
    with waiting(shut) as (_, process, mover):
        process.kill()
        mover.wait()


def test_nobody_traces_a_mover_not_even_its_user(shut: Site) -> None:
    with waiting(shut) as (_, process, mover):
        as_alice = ["setpriv", f"--reuid={UIDS['alice']}", f"--regid={GID}", "--clear-groups"]
        seen = subprocess.run(
            [*as_alice, "cat", f"/proc/{mover.pid}/maps"], capture_output=True, text=True, check=False
        )
        go_on(shut)
        shut.ended(process)
    assert "Permission denied" in seen.stderr


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


def test_a_closed_user_area_is_entered_by_the_users_own_folder_alone(shut: Site) -> None:
    shut.users.chmod(0o700)
    (shut.users / "bob").mkdir(mode=0o755)
    (shut.users / "bob/secret").write_bytes(b"for Bob alone")
    own = shut.request(("a.fits", "b.fits"))
    shut.run("local_copy", own)
    others = [shut.request(("secret", "c"), source_area="user"), shut.request(("l/secret", "d"), source_area="user")]
    (shut.users / "alice/l").symlink_to("../bob")
    for one in others:
        shut.run("local_copy", one)
    assert shut.statuses([own, *others]) == [C, F, F]
    assert sorted(path.name for path in (shut.users / "alice").iterdir()) == ["b.fits", "l"]


def test_a_closed_source_area_is_read_for_nobody(shut: Site) -> None:
    (shut.folder / "storage").chmod(0o700)
    request_id = shut.request(("a.fits", "b.fits"))
    shut.run("local_copy", request_id)
    assert [file.error_type for file in shut.files(request_id)] == ["SourceUnreadable"]


def test_a_closed_source_area_is_read_where_the_operator_says_so(shut: Site) -> None:
    (shut.folder / "storage").chmod(0o700)
    (shut.folder / "storage/a.fits").chmod(0o600)
    shut.settings["STAGER_SOURCE_READ_AS"] = "service"
    request_id = shut.request(("a.fits", "b.fits"))
    shut.run("local_copy", request_id)
    assert shut.statuses([request_id]) == [C]
    assert (shut.users / "alice/b.fits").read_bytes() == (shut.folder / "storage/a.fits").read_bytes()


def test_what_the_user_may_not_list_is_not_expanded_and_what_they_may_not_read_fails_alone(shut: Site) -> None:
    tree = shut.folder / "storage/tree"
    (tree / "locked").mkdir(parents=True)
    for name, mode in (("a", 0o644), ("b", 0o600), ("locked/c", 0o644)):
        (tree / name).write_bytes(b"data")
        (tree / name).chmod(mode)
    (tree / "locked").chmod(0o700)
    request_id = shut.request(("tree", "out"), expand=Expand.DIRECTORY)
    shut.run("local_copy", request_id)
    said = {file.source: (file.status, file.error_type) for file in shut.files(request_id)}
    assert said == {"tree": (F, "SourceUnreadable"), "tree/a": (C, None), "tree/b": (F, "SourceUnreadable")}
    assert "locked" in (shut.files(request_id)[0].error_reason or "")


@pytest.mark.parametrize(
    ("source", "expand", "found"),
    [
        ("**", Expand.GLOB, {"a.fits", "tree/b/c"}),
        ("tree", Expand.DIRECTORY, {"b/c"}),
        ("t", Expand.PREFIX, {"tree/b/c"}),
    ],
)
def test_what_the_service_reads_for_its_users_is_expanded_too(
    shut: Site, source: str, expand: Expand, found: set[str]
) -> None:
    (shut.folder / "storage/tree/b").mkdir(parents=True)
    (shut.folder / "storage/tree/b/c").write_bytes(b"data")
    (shut.folder / "storage").chmod(0o700)
    shut.settings["STAGER_SOURCE_READ_AS"] = "service"
    request_id = shut.request((source, "out"), expand=expand)
    shut.run("local_copy", request_id)
    assert shut.statuses([request_id]) == [C]
    out = shut.users / "alice/out"
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == found


def test_a_hard_link_is_made_by_root_to_what_the_user_opened(shut: Site) -> None:
    (shut.folder / "storage/a.fits").chmod(0o644)
    request_id = shut.request(("a.fits", "b.fits"), method="symlink_copy")
    shut.run("symlink_copy", request_id)
    assert shut.statuses([request_id]) == [C]
    assert (shut.users / "alice/b.fits").samefile(shut.folder / "storage/a.fits")


def test_who_may_not_write_to_their_folder_is_told_so(shut: Site) -> None:
    (shut.users / "alice").mkdir(mode=0o755)
    request_id = shut.request(("a.fits", "b.fits"))
    shut.run("local_copy", request_id)
    assert [file.error_type for file in shut.files(request_id)] == ["DestinationNotWritable"]
    assert list((shut.users / "alice").iterdir()) == []


def test_a_run_is_for_one_user_and_anothers_request_is_refused(shut: Site) -> None:
    ids = [shut.request(("a.fits", "b.fits"), username=name) for name in UIDS]
    shut.run("local_copy", *ids)
    assert shut.statuses(ids) == [C, F]
    assert not (shut.users / "bob").exists()


# What root lacks on an NFS that squashes it: to get by modes, and to give files away.
SQUASHED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-chown,-fowner", "--inh-caps=-all")


def test_where_root_is_squashed_the_users_own_folder_does(shut: Site) -> None:
    shut.users.chmod(0o755)
    (shut.users / "alice").mkdir(mode=0o700)
    os.chown(shut.users / "alice", UIDS["alice"], GID)
    os.chown(shut.users, UIDS["bob"], GID)  # it is root's no more than any other
    ids = [shut.request(("a.fits", "b.fits"), username=name) for name in UIDS]
    for one in ids:
        shut.run("local_copy", one, prefix=SQUASHED)
    assert shut.statuses(ids) == [C, F]
    assert (shut.users / "alice/b.fits").stat().st_uid == UIDS["alice"]
    assert f"There is no folder {shut.users / 'bob'}" in str(get_request(shut.database, ids[1]).error_reason)


def test_what_a_user_may_not_write_fails_alone(shut: Site) -> None:
    ids = [shut.request(("a.fits", place)) for place in ("b.fits", "closed/b.fits")]
    (shut.users / "alice/closed").mkdir(parents=True, mode=0o700)
    os.chown(shut.users / "alice", UIDS["alice"], GID)
    shut.run("local_copy", *ids)
    assert shut.statuses(ids) == [C, F]
    assert [file.error_type for file in shut.files(ids[1])] == ["DestinationNotWritable"]
