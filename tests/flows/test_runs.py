"""What a run makes of the requests that it carries."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.models import Status
from stager.paths import locate
from stager.records.items import destination_key, item_with_manifest, manifest_of, manifest_writer
from stager.records.leases import acquire_leases
from stager.records.requests import cancel_items, cancel_request, get_request
from stager.vocabulary import ManifestEntry, OnConflict

if TYPE_CHECKING:
    from stager.records.tables import StagedFile
    from tests.flows.conftest import Site

pytestmark = pytest.mark.stack
C, F, S, X = Status.COMPLETED, Status.FAILED, Status.SKIPPED, Status.CANCELLED
NOT_ROOT = 65533
# It may read what is root's, because the tests' Python may be root's; it may write and give away nothing.
AS_NOT_ROOT = f"setpriv --reuid {NOT_ROOT} --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"
SHARE = """
import sys
from pathlib import Path
from blocks.storage_area import StorageAreaBlock
StorageAreaBlock(path=Path(sys.argv[1]), is_destination=True).save("projects", overwrite=True)
"""


# The database is away when a manifest's first part is written, and there again after that.
AWAY_ONCE = """
from stager.errors import DatabaseUnavailable
from stager.records.items import ManifestWriter

flush, failed = ManifestWriter.flush, []

def away_once(writer):
    if writer._lines and not failed:
        failed.append(writer)
        raise DatabaseUnavailable("away for a moment")
    flush(writer)

ManifestWriter.flush = away_once
"""


def checksum_of(path: Path) -> str:
    return f"{zlib.adler32(path.read_bytes()):08x}"


def test_what_was_done_is_on_record_with_the_method_that_did_it(site: Site) -> None:
    request_id = site.request(("a.fits", "b.fits"), ("missing", "c.fits"))
    assert site.run("local_copy", request_id)[0].startswith("Failed: 1 of 2 items failed")
    kept = [(file.status, file.method, file.error_type) for file in site.files(request_id)]
    assert kept == [(C, "local_copy", None), (F, "local_copy", "SourceNotFound")]


def test_what_was_there_already_keeps_the_checksum_of_its_delivery(site: Site) -> None:
    (site.folder / "storage/tree").mkdir()
    (site.folder / "storage/tree/a").write_bytes(b"a")
    items = (("a.fits", "b.fits"), ("tree", "tree"))
    ids = [site.request(*items) for _ in range(2)]
    for request_id in ids:
        assert site.run("local_copy", request_id)[0].startswith("Completed")
    (brought, tree), (skipped, same_tree) = (site.files(request_id) for request_id in ids)

    assert [brought.status, skipped.status, same_tree.status] == [C, S, S]
    assert (skipped.checksum, skipped.checksum_algorithm) == (brought.checksum, "adler32")
    assert item_with_manifest(site.database, same_tree) == tree.id


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_is_verified_by_the_checksum_that_is_asked_for_and_keeps_its_own(site: Site, algorithm: str) -> None:
    source = site.folder / "storage/a.fits"
    right = f"{algorithm}:{hashlib.new(algorithm, source.read_bytes(), usedforsecurity=False).hexdigest()}"
    ids = [site.request(("a.fits", "b.fits"), checksum=checksum) for checksum in (right, right, right[:-4] + "0bad")]
    for request_id in ids:
        site.run("local_copy", request_id)
    brought, skipped, wrong = (site.files(request_id)[0] for request_id in ids)

    assert [brought.status, skipped.status, wrong.status, wrong.error_type] == [C, S, F, "SourceMismatch"]
    assert (brought.checksum, brought.checksum_algorithm) == (checksum_of(source), "adler32")
    assert (skipped.checksum, skipped.checksum_algorithm) == (checksum_of(source), "adler32")
    assert str(brought.expected_checksum) == right
    assert f"its checksum is {right}, not the requested {right[:-4]}0bad" in str(wrong.error_reason)


def test_what_somebody_else_brought_is_on_record_with_the_checksum_of_every_file(site: Site) -> None:
    for folder in (site.folder / "storage", site.users / "alice"):
        (folder / "tree/sub").mkdir(parents=True)
        (folder / "tree/a").write_bytes(b"a")
        (folder / "tree/sub/b").write_bytes(b"b")
    shutil.copyfile(site.folder / "storage/a.fits", site.users / "alice/b.fits")
    request_id = site.request(("a.fits", "b.fits"), ("tree", "tree"))
    assert site.run("local_copy", request_id)[0].startswith("Completed")
    file, tree = site.files(request_id)

    assert [file.status, tree.status] == [S, S]
    assert (file.checksum, file.checksum_algorithm) == (checksum_of(site.folder / "storage/a.fits"), "adler32")
    listed = manifest_of(site.database, item_with_manifest(site.database, tree))
    assert [(one.path, one.checksum) for one in listed] == [
        ("a", "00620062"),
        ("sub/b", "00630063"),
    ]


def paths_listed_for(site: Site, file: StagedFile) -> list[str]:
    return [one.path for one in manifest_of(site.database, item_with_manifest(site.database, file))]


def test_where_the_database_was_away_when_a_manifest_was_written_it_is_written_later(site: Site) -> None:
    for folder in (site.folder / "storage", site.users / "alice"):
        (folder / "tree").mkdir(parents=True)
        (folder / "tree/a").write_bytes(b"a")
    request_id = site.request(("tree", "tree"))
    state, log = site.run("local_copy", request_id, before=AWAY_ONCE)
    assert state.startswith("Completed"), state
    assert "away for a moment" in log
    [tree] = site.files(request_id)
    assert (tree.status, paths_listed_for(site, tree)) == (S, ["a"])


def test_what_a_run_that_died_wrote_of_a_manifest_is_not_told_of_what_was_there_already(site: Site) -> None:
    (site.folder / "storage/tree").mkdir()
    (site.folder / "storage/tree/a").write_bytes(b"a")
    of_the_dead, delivery, later = (site.request(("tree", "tree")) for _ in range(3))
    with manifest_writer(site.database, site.files(of_the_dead)[0]) as write:
        write(ManifestEntry(path="of an earlier state", size_bytes=1, checksum="00620062"))
    for request_id in (delivery, of_the_dead, later):
        assert site.run("local_copy", request_id)[0].startswith("Completed")
    [dead], [delivered], [last] = (site.files(one) for one in (of_the_dead, delivery, later))

    assert [dead.status, delivered.status, last.status] == [S, C, S]
    assert [paths_listed_for(site, one) for one in (dead, delivered, last)] == [["a"]] * 3


def test_of_what_is_replaced_the_manifest_has_what_was_brought(site: Site) -> None:
    for folder, content in ((site.folder / "storage", b"new"), (site.users / "alice", b"old")):
        (folder / "tree").mkdir(parents=True)
        (folder / "tree/a").write_bytes(b"the same")
        (folder / "tree/b").write_bytes(content)
    request_id = site.request(("tree", "tree"), on_conflict=OnConflict.REPLACE)
    assert site.run("local_copy", request_id)[0].startswith("Completed")
    [tree] = site.files(request_id)

    assert tree.status == C
    manifest = list(manifest_of(site.database, item_with_manifest(site.database, tree)))
    assert [(one.path, one.checksum) for one in manifest] == [
        (name, checksum_of(site.folder / "storage/tree" / name)) for name in ("a", "b")
    ]


def test_a_request_that_is_refused_as_a_whole_keeps_the_kind_of_error(site: Site) -> None:
    refused = {
        site.request(("a.fits", "b.fits"), username="carol"): ("UserDoesNotExist", "User carol does not exist"),
        site.request(("a.fits", "b.fits"), to="nowhere"): ("UnknownArea", "Unknown storage area: nowhere"),
        site.request(("a.fits", "b.fits"), method="local_symlink"): (
            "InvalidMethod",
            "Invalid staging method: local_symlink",
        ),
    }
    other = site.request(("a.fits", "c.fits"))
    carols, *alices = refused
    site.run("local_copy", carols)
    site.run("local_copy", *alices, other)
    for request_id, reason in refused.items():
        [file] = site.files(request_id)
        assert (file.status, file.error_type, file.error_reason, file.method) == (F, *reason, None)
    assert site.statuses([*refused, other]) == [F, F, F, C]


def test_one_of_several_requests_is_cancelled_and_the_others_go_on(site: Site) -> None:
    ids = [site.request(("a.fits", f"{name}.fits")) for name in ("one", "two", "three")]
    [held] = site.files(site.request(("a.fits", "two.fits")))
    held.destination_key = destination_key(locate(site.users, "alice/two.fits"))
    acquire_leases(site.database, [held], holder="another run", seconds=600)
    with site.running("local_copy", *ids) as process:
        site.eventually(lambda: site.statuses(ids[1:2]) == [Status.STARTED])  # and waits for the destination
        cancel_request(site.database, ids[1])
        assert site.ended(process)[0].startswith("Failed: 3 requests of alice: 1 cancelled, 2 completed")
    assert site.statuses(ids) == [C, X, C]
    assert sorted(path.name for path in (site.users / "alice").iterdir()) == ["one.fits", "three.fits"]


def test_one_item_of_a_running_request_is_cancelled_and_the_others_go_on(site: Site) -> None:
    request_id = site.request(*(("a.fits", f"{name}.fits") for name in ("one", "two", "three")))
    [held] = site.files(site.request(("a.fits", "two.fits")))
    held.destination_key = destination_key(locate(site.users, "alice/two.fits"))
    acquire_leases(site.database, [held], holder="another run", seconds=600)
    with site.running("local_copy", request_id) as process:
        site.eventually(lambda: site.statuses([request_id]) == [Status.STARTED])  # and waits for the destination
        cancel_items(site.database, request_id, [1])
        assert site.ended(process)[0].startswith("Cancelled: 1 of 3 items cancelled: cancelled on request")
    assert [file.status for file in site.files(request_id)] == [C, X, C]
    assert sorted(path.name for path in (site.users / "alice").iterdir()) == ["one.fits", "three.fits"]


def test_a_request_that_is_cancelled_midway_keeps_what_is_done_and_leaves_nothing_else(site: Site) -> None:
    request_id = site.request(*(("a.fits", f"{number}.fits") for number in range(10_000)), method="local_symlink")
    with site.running("local_symlink", request_id) as process:
        site.eventually(lambda: site.files(request_id)[0].status is C)
        cancel_request(site.database, request_id)
        assert site.ended(process)[0].startswith("Cancelled: ")
    statuses = [file.status for file in site.files(request_id)]
    assert set(statuses) == {C, X}
    assert sum(path.is_symlink() for path in (site.users / "alice").iterdir()) == statuses.count(C)
    assert list(site.users.rglob(".stager-*")) == []


def test_two_users_of_a_shared_area_contend_for_one_destination(site: Site) -> None:
    with site.forked(SHARE, str(site.folder / "projects")) as sharing:
        site.ended(sharing)
    shared, own = (
        [site.request(("a.fits", "sky/a.fits"), username=name, to=to) for name in ("alice", "bob")]
        for to in ("projects", "user")
    )
    for requests_of_a_user in zip(shared, own, strict=True):
        site.run("local_copy", *requests_of_a_user)
    assert site.statuses([*shared, *own]) == [C, S, C, C]
    keys = [file.destination_key for request_id in [*shared, *own] for file in site.files(request_id)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be somebody else")
def test_a_run_that_is_not_root_says_so_in_the_record_and_in_its_log(site: Site) -> None:
    request_id = site.request(("a.fits", "b.fits"))
    state, log = site.run("local_copy", request_id, prefix=AS_NOT_ROOT.split())
    assert state.startswith("Completed")
    assert (site.users / "alice/b.fits").stat().st_uid == NOT_ROOT
    said = f"running user without a name (uid {NOT_ROOT}): not root, so files stay with it"
    assert get_request(site.database, request_id).acting_as == said
    assert f"acting as {said}" in log


def test_many_requests_of_a_run_keep_their_own_endings(site: Site) -> None:
    (site.folder / "storage/tree").mkdir()
    (site.folder / "storage/tree/b.fits").write_bytes(b"x")
    ids = [
        site.request(("a.fits", "1.fits")),
        site.request(("missing", "2.fits")),
        site.request(("tree", "tree"), ("a.fits", "3.fits")),
        site.request(("a.fits", "1.fits")),
        cancelled := site.request(("a.fits", "4.fits")),
        site.request(*(("a.fits", f"many/{number}") for number in range(20))),
    ]
    cancel_request(site.database, cancelled)
    state, _ = site.run("local_copy", *ids)
    assert site.statuses(ids) == [C, F, C, S, X, C]
    assert state.startswith("Failed: 6 requests of alice: 1 cancelled, 3 completed, 1 failed, 1 skipped")
    assert len({get_request(site.database, one).flow_run_id for one in ids if one != cancelled}) == 1
    assert (site.users / "alice/many/19").read_bytes() == (site.folder / "storage/a.fits").read_bytes()
