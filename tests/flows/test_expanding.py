"""An item that stands for many is expanded by its run, and what it became is done by this run and by others."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import delete

from stager.errors import RunLost
from stager.models import StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.events import events_of
from stager.records.requests import cancel_request, create_request, get_request
from stager.records.runs import resubmit_requests
from stager.records.shards import shards_of
from stager.records.tables import DestinationLease
from stager.vocabulary import Expand, OnConflict
from tests.flows.conftest import RUN
from tests.flows.test_shards import delivered, ended, next_run
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from stager.records.tables import Shard
    from tests.flows.conftest import Site

LIMITS = ShardLimits(items=1000, size_bytes=10**12)
TREE = ("a.fits", "b/1.fits", "b/2.txt", "b/c/3.fits", "z.txt")
# Stops right before the third page is added.
STOPPED_BEFORE_THE_THIRD_PAGE = """
import os, signal
from stager.runs import expansion
begun, add = [], expansion.add_expanded
def stopping(*given, **more):
    begun.append(1)
    if len(begun) == 3:
        os.kill(os.getpid(), signal.SIGSTOP)
    return add(*given, **more)
expansion.add_expanded = stopping
"""
# Two processes of one run: one stops once it has looked up its shards, one is killed once its item has become others.
STOPPED_BEFORE_IT_BEGINS = """
import os, signal
from tasks.run import Run
begun = Run._begun
def stopping(run):
    os.kill(os.getpid(), signal.SIGSTOP)
    return begun(run)
Run._begun = stopping
"""
KILLED_ONCE_IT_EXPANDED = """
import os, signal
from stager.runs import expansion
end = expansion.end_expansion
def dying(*given, **more):
    end(*given, **more)
    os.kill(os.getpid(), signal.SIGKILL)
expansion.end_expansion = dying
"""


def fill(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def asked(site: Site, *items: StagingItem, is_bounded: bool = False, **terms: OnConflict) -> str:
    request = StagingRequest(method="local_copy", username="alice", items=items, **terms)
    return create_request(site.database, request, is_bounded=is_bounded, limits=LIMITS).id


def of(source: str, expand: str | None = "directory", to: str = "out") -> StagingItem:
    return StagingItem(source=source, destination=to, expand=expand and Expand(expand))


def shards(site: Site, request_id: str) -> list[Shard]:
    return shards_of(site.database, [request_id])[request_id]


def do_the_rest(site: Site, request_id: str) -> None:
    while any(shard.status is Status.SUBMITTED for shard in shards(site, request_id)):
        assert ended(site, next_run(site)).startswith("Completed")


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in found}


def test_what_items_stand_for_appears_below_their_destinations(site: Site) -> None:
    fill(site.folder / "storage/tree", *TREE)
    below = {
        "1": (of("tree", "directory", "1"), TREE),
        "2": (of("tree/**/*.fits", "glob", "2/"), ("a.fits", "b/1.fits", "b/c/3.fits")),
        "3": (of(f"{site.folder}/storage/tree/b", "prefix", "./3"), ("b/1.fits", "b/2.txt", "b/c/3.fits")),
        "4": (of("t*e/b/c/*", "glob", "4"), ("tree/b/c/3.fits",)),
    }
    request_id = asked(site, *(item for item, _ in below.values()), of("a.fits", None, "5.fits"))
    said, log = site.run("local_copy", request_id)
    assert said.startswith("Completed"), log
    storage = {name: (site.folder / "storage/tree" / name).read_bytes() for name in TREE}
    for folder, (_, names) in below.items():
        found = files_in(site.users / "alice" / folder)
        assert set(found) == set(names)
        assert set(found.values()) <= set(storage.values())
    row, files = get_request(site.database, request_id), site.files(request_id)
    assert (row.status, row.files_done, row.item_count) == (Status.COMPLETED, 13, 17)
    assert [file.position for file in files] == list(range(17))
    assert [(file.status, file.expanded_count, file.bytes_done) for file in files[:4]] == [
        (Status.COMPLETED, len(names), 0) for _, names in below.values()
    ]
    assert Counter(file.expanded_from for file in files) == {None: 5, 0: 5, 1: 3, 2: 3, 3: 1}
    assert len(shards(site, request_id)) == 1  # few are done by the same run


def test_a_directory_that_fits_is_a_product_and_the_users_folder_is_a_destination(site: Site) -> None:
    fill(site.folder / "storage/tree", *TREE)
    request_id = asked(site, of("tree/*", "glob", "."))
    site.run("local_copy", request_id)
    kinds = {file.seen_at: file.kind for file in site.files(request_id)[1:]}
    seen = f"{site.users}/alice"
    assert kinds == {f"{seen}/a.fits": "file", f"{seen}/b": "directory", f"{seen}/z.txt": "file"}


REFUSED = (
    (of("missing"), "SourceNotFound"),
    (of("a.fits"), "NotExpandable"),
    (of("tree/*.none", "glob"), "NotExpandable"),
    (of("tree/none", "prefix"), "NotExpandable"),
    (of("tree/empty"), "NotExpandable"),
    (of("tree/../x"), "PathOutsideArea"),
    (of("tree/*/../../x", "glob"), "PathOutsideArea"),
    (of("/etc/*", "glob"), "PathOutsideArea"),
    (of("/*", "glob"), "PathOutsideArea"),
    (of("tree", to="../out"), "PathOutsideArea"),
    (of("tree", to="n" * 256), "InvalidPath"),
    (of("tree", to="/".join(["n" * 200] * 20) + "/" + "m" * 73), "InvalidPath"),
    (of("out"), "PathOutsideArea"),
    (of("within"), "NotExpandable"),
)


def test_what_cannot_be_expanded_fails_alone_and_says_why(site: Site) -> None:
    fill(site.folder / "storage/tree", *TREE)
    (site.folder / "storage/tree/empty").mkdir()
    (site.folder / "storage/out").symlink_to("../users")
    (site.folder / "storage/within").symlink_to("a.fits")
    own = [{"destination": item.destination.replace("out", f"out/{n}")} for n, (item, _) in enumerate(REFUSED)]
    items = [item.model_copy(update=more) for (item, _), more in zip(REFUSED, own, strict=True)]
    request_id = asked(site, *items, of("a.fits", None, "a.fits"))
    site.run("local_copy", request_id)
    *failed, last = site.files(request_id)
    assert [(file.source, file.error_type) for file in failed] == [(item.source, kind) for item, kind in REFUSED]
    assert all(file.status is Status.FAILED and file.error_reason for file in failed)
    assert last.status is Status.COMPLETED
    assert get_request(site.database, request_id).status is Status.FAILED


def test_a_path_that_is_too_long_fails_the_expansion_and_keeps_no_other_back(site: Site) -> None:
    fill(site.folder / "storage/tree", "a", "b" * 50, "c")
    to = "/".join(["n" * 200] * 20) + "/" + "m" * 50
    request_id = asked(site, of("tree", to=to))
    site.run("local_copy", request_id)
    first, *added = site.files(request_id)
    assert (first.status, first.error_type, first.expanded_count) == (Status.FAILED, "InvalidPath", 2)
    assert [file.source for file in added] == ["tree/a", "tree/c"]


def test_names_that_are_no_text_and_links_are_items_and_reserved_names_fail(site: Site) -> None:
    folder = site.folder / "storage/tree"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.fits")).write_bytes(b"odd")
    (folder / "link").symlink_to("../a.fits")
    (folder / "out").symlink_to("../../users.toml")
    (folder / ".stager-0123").write_bytes(b"")
    request_id = asked(site, of("tree"))
    site.run("local_copy", request_id)
    ended = {os.fsencode(file.relative_path): file.error_type for file in site.files(request_id)[1:]}
    assert ended == {
        b"out/\xff.fits": None,
        b"out/link": None,
        b"out/out": "PathOutsideArea",
        b"out/.stager-0123": "InvalidPath",
    }
    assert (site.users / "alice/out/link").read_bytes() == (site.folder / "storage/a.fits").read_bytes()


def test_more_than_fits_into_a_shard_is_handed_to_other_runs_while_it_is_expanded(site: Site) -> None:
    site.settings["STAGER_SHARD_ITEMS"] = "1000"
    fill(site.folder / "storage/tree", *(f"{number:04}" for number in range(3500)))
    request_id = asked(site, of("tree"))
    with site.executing(STOPPED_BEFORE_THE_THIRD_PAGE + RUN, "local_copy", next_run(site)) as stopped:
        site.eventually(lambda: stopped.poll() is not None or len(shards(site, request_id)) > 1)
        assert ended(site, next_run(site)).startswith("Completed")
        assert get_request(site.database, request_id).status is Status.STARTED
        os.kill(stopped.pid, 18)
        site.ended(stopped)
    do_the_rest(site, request_id)
    row = get_request(site.database, request_id)
    assert (row.status, row.item_count, row.files_done) == (Status.COMPLETED, 3501, 3500)
    assert len(list((site.users / "alice/out").iterdir())) == 3500


def test_a_run_that_was_killed_while_it_expanded_is_gone_on_with(site: Site) -> None:
    site.settings["STAGER_LEASE"] = "5"
    site.settings["STAGER_SHARD_ITEMS"] = "1000"
    fill(site.folder / "storage/tree", *(f"{number:04}" for number in range(3500)))
    request_id = asked(site, of("tree"))
    first = next_run(site)
    with site.executing(STOPPED_BEFORE_THE_THIRD_PAGE + RUN, "local_copy", first) as stopped:
        site.eventually(lambda: stopped.poll() is not None or get_request(site.database, request_id).item_count > 2000)
        stopped.kill()
    resubmit_requests(site.database, first, RunLost("its worker was killed"))
    do_the_rest(site, request_id)
    files = site.files(request_id)
    assert get_request(site.database, request_id).status is Status.COMPLETED
    assert sorted(file.relative_path for file in files[1:]) == [f"out/{number:04}" for number in range(3500)]
    assert [event.detail for event in events_of(site.database, request_id) if event.kind == "expanded"] == [
        "item 0 became 3500 items"
    ]


def test_a_twin_of_a_run_that_was_killed_does_what_that_has_added_meanwhile(site: Site) -> None:
    fill(site.folder / "storage/tree", *TREE)
    request_id = asked(site, of("tree"))
    run = next_run(site)
    with site.executing(STOPPED_BEFORE_IT_BEGINS + RUN, "local_copy", run) as twin:
        site.eventually(lambda: psutil.Process(twin.pid).status() == psutil.STATUS_STOPPED)
        with site.executing(KILLED_ONCE_IT_EXPANDED + RUN, "local_copy", run) as killed:
            killed.communicate(timeout=PATIENCE)
        assert get_request(site.database, request_id).item_count == 1 + len(TREE)
        site.database.write(lambda session: session.execute(delete(DestinationLease)))  # as they end by themselves
        os.kill(twin.pid, 18)
        assert site.ended(twin)[0].startswith("Completed")
    assert set(files_in(site.users / "alice/out")) == set(TREE)
    assert get_request(site.database, request_id).status is Status.COMPLETED


def test_a_cancel_ends_an_expansion_and_what_it_became(site: Site) -> None:
    site.settings["STAGER_SHARD_ITEMS"] = "1000"
    fill(site.folder / "storage/tree", *(f"{number:04}" for number in range(3500)))
    request_id = asked(site, of("tree"))
    with site.executing(STOPPED_BEFORE_THE_THIRD_PAGE + RUN, "local_copy", next_run(site)) as stopped:
        site.eventually(lambda: stopped.poll() is not None or get_request(site.database, request_id).item_count > 2000)
        cancel_request(site.database, request_id)
        os.kill(stopped.pid, 18)
        stopped.communicate(timeout=PATIENCE)
    row = get_request(site.database, request_id)
    assert (row.status, row.item_count) == (Status.CANCELLED, 2001)
    assert Counter(file.status for file in site.files(request_id)) == {Status.CANCELLED: 2001}
    assert delivered(site) == []


def test_no_request_has_more_items_than_it_may(site: Site) -> None:
    site.settings["STAGER_MAX_ITEMS"] = "1500"
    fill(site.folder / "storage/tree", *(f"{number:04}" for number in range(1600)))
    request_id = asked(site, of("tree"))
    ended(site, next_run(site))
    do_the_rest(site, request_id)
    row, first = get_request(site.database, request_id), site.files(request_id)[0]
    assert (row.status, first.error_type, first.expanded_count) == (Status.FAILED, "TooManyItems", 1000)
    assert "1500" in (first.error_reason or "")
    assert len(list((site.users / "alice/out").iterdir())) == 1000


def test_who_may_read_a_part_of_an_area_has_no_link_followed(site: Site) -> None:
    fill(site.folder / "storage", "b/secret", "a/own")
    (site.folder / "storage/a/there").symlink_to("../b")
    (site.folder / "storage/a/secret").symlink_to("../b/secret")
    request_id = asked(site, of("a/**", "glob"), of("a/there", "directory", "other"), is_bounded=True)
    site.run("local_copy", request_id)
    found = {file.source: file.status for file in site.files(request_id)}
    assert found.pop("a/**") is Status.COMPLETED
    assert found == {
        "a/own": Status.COMPLETED,
        "a/secret": Status.FAILED,
        "a/there": Status.FAILED,
    }
    assert set(files_in(site.users / "alice")) == {"out/own"}
