"""The promises of ``stager/methods/method.py``: every method is held to each of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Collection
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from stager.checksums import Checksum
from stager.engine import Expected
from stager.errors import (
    DestinationDiffers,
    DestinationError,
    DestinationExists,
    DestinationNotWritable,
    LeaseLost,
    PathOutsideArea,
    SourceError,
    SourceMismatch,
    SourceNotFound,
    StagingError,
)
from stager.methods import LastCopy
from stager.vocabulary import ManifestEntry, OnConflict
from tests.methods.staging_site import BOB, CONTENT, IS_ROOT, Delivery, Site

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to be several users")


def facts(path: Path) -> tuple[bytes, int, int, int, int]:
    status = path.stat()
    return path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


def test_what_is_staged_reads_like_its_source_and_the_source_is_unchanged(site: Site) -> None:
    before = facts(site.source / "a.fits")
    published = site.stage(site.item())
    assert published is not None
    assert site.peer.read("data/a.fits") == CONTENT
    assert facts(site.source / "a.fits") == before


def test_the_user_cannot_write_to_what_is_staged(site: Site) -> None:
    published = site.stage(site.item())
    assert published is not None
    assert site.peer.may_write("data/a.fits") == bool(published.left_writable)
    # Where the method sets nothing, it is a link, and what keeps the source is the source's own.
    assert (site.peer.home / "data/a.fits").is_symlink() == (site.promise.read_only_by == "nothing")


def test_nothing_has_the_final_name_before_it_is_published(site: Site) -> None:
    seen: list[bool] = []

    def look(_: Collection[int]) -> dict[int, StagingError]:
        seen.append(site.peer.exists("data/a.fits"))
        return {}

    site.stage(site.item(), refuse=look)
    assert seen == [False]
    assert site.peer.files() == ["data/a.fits"]


def test_a_writer_that_was_overtaken_publishes_nothing(site: Site) -> None:
    with pytest.raises(LeaseLost):
        site.stage(site.item(), refuse=lambda items: {item_id: LeaseLost("a.fits") for item_id in items})
    assert site.peer.files() == []


def test_missing_source_leaves_no_trace(site: Site) -> None:
    with pytest.raises(SourceNotFound, match="does not exist"):
        site.stage(site.item(source="missing.fits"))
    assert site.peer.shown() == []


def test_what_is_there_already_is_skipped(site: Site) -> None:
    site.stage(site.item())
    before = os.lstat(site.peer.home / "data/a.fits")
    assert site.stage(site.item()) is None
    assert os.lstat(site.peer.home / "data/a.fits").st_ino == before.st_ino


def test_what_a_comparison_tells_of_is_as_in_the_source(site: Site) -> None:
    site.stage(site.item())
    told: list[ManifestEntry] = []
    assert site.stage(site.item(), on_file=told.append) is None
    whole = ManifestEntry(path="a.fits", size_bytes=len(CONTENT), checksum=f"{zlib.adler32(CONTENT):08x}")
    assert told in ([], [whole])  # a link is not read


def test_something_else_at_the_destination_is_not_touched(site: Site) -> None:
    other = site.peer.put("data/a.fits")
    with pytest.raises(DestinationDiffers):
        site.stage(site.item())
    assert other.read_bytes() == b"precious"


def test_fail_refuses_even_what_is_identical(site: Site) -> None:
    site.stage(site.item())
    with pytest.raises(DestinationExists):
        site.stage(replace(site.item(), on_conflict=OnConflict.FAIL))


def test_replace_exchanges_what_was_there(site: Site) -> None:
    other = site.peer.put("data/a.fits")
    site.stage(replace(site.item(), on_conflict=OnConflict.REPLACE))
    assert other.read_bytes() == CONTENT
    assert site.peer.files() == ["data/a.fits"]


def test_a_staging_given_up_midway_leaves_nothing_and_may_be_done_again(site: Site) -> None:
    item = site.item()
    site.begin(item)
    site.do("transfer")
    site.worker.end()
    site.worker.end()
    assert site.peer.files() == []
    assert site.stage(item) is not None


RIGHT = {
    "adler32": Checksum("adler32", f"{zlib.adler32(CONTENT):08x}"),
    "sha256": Checksum("sha256", hashlib.sha256(CONTENT).hexdigest()),
    "md5": Checksum("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()),
}
WRONG = {name: right._replace(value=right.value[::-1]) for name, right in RIGHT.items()}
MISMATCHES = [
    *(Expected(checksum=wrong) for wrong in WRONG.values()),
    Expected(size_bytes=len(CONTENT) + 1),
    Expected(size_bytes=len(CONTENT) + 1, checksum=RIGHT["adler32"]),
]


@pytest.mark.parametrize("expected", MISMATCHES)
@pytest.mark.parametrize("on_conflict", [OnConflict.SKIP_IDENTICAL, OnConflict.REPLACE])
def test_a_source_that_is_not_as_requested_is_not_delivered(
    site: Site, expected: Expected, on_conflict: OnConflict
) -> None:
    item = replace(site.item(), expected=expected, on_conflict=on_conflict)
    with pytest.raises(SourceMismatch, match=f"{site.source}/a.fits: .* requested"):
        site.stage(item)
    assert site.peer.shown() == []
    site.stage(site.item())
    with pytest.raises(SourceMismatch):
        site.stage(item)


@pytest.mark.parametrize("algorithm", RIGHT)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_mismatch_names_the_algorithm_and_both_checksums(site: Site, algorithm: str, *, is_there: bool) -> None:
    if is_there:
        site.stage(site.item())
    with pytest.raises(SourceMismatch) as caught:
        site.stage(replace(site.item(), expected=Expected(checksum=WRONG[algorithm])))
    assert f"its checksum is {RIGHT[algorithm]}, not the requested {WRONG[algorithm]}" in caught.value.message


@pytest.mark.parametrize("algorithm", RIGHT)
def test_a_source_that_is_as_requested_is_delivered_and_skipped(site: Site, algorithm: str) -> None:
    expected = Expected(checksum=RIGHT[algorithm], size_bytes=len(CONTENT))
    assert site.stage(replace(site.item(), expected=expected)) is not None
    assert site.stage(replace(site.item(), expected=expected)) is None


@pytest.mark.parametrize("expected", [*(Expected(checksum=one) for one in RIGHT.values()), Expected(size_bytes=1)])
def test_a_directory_that_is_not_as_requested_is_not_delivered(site: Site, expected: Expected) -> None:
    (site.source / "tree").mkdir()
    (site.source / "tree/a").write_bytes(CONTENT)
    with pytest.raises(SourceMismatch):
        site.stage(replace(site.item(source="tree"), expected=expected))
    assert site.peer.shown() == []


@pytest.mark.parametrize("checksum", [None, *WRONG.values(), *RIGHT.values()])
def test_our_own_receipt_counts_only_with_the_checksum_that_is_requested(site: Site, checksum: Checksum | None) -> None:
    published = site.stage(site.item())
    assert published is not None
    receipt = LastCopy(
        file_id=1,
        source_fingerprint=site.survey(site.item()).fingerprint,
        destination_fingerprint=published.fingerprint,
        checksum=RIGHT["adler32"],
    )
    item = replace(site.item(), last_copy=receipt, expected=Expected(checksum=checksum))
    if checksum is None or checksum in RIGHT.values():
        assert site.stage(item) is None
        return
    with pytest.raises(SourceMismatch):
        site.stage(item)


DELIVERIES = [
    *((method, "a.fits") for method in ("local_copy", "local_symlink", "symlink_copy")),
    *((method, "tree") for method in ("local_copy", "local_symlink")),
    *(pytest.param("jupyter_copy", what, marks=pytest.mark.hub) for what in ("a.fits", "tree")),
    *(pytest.param("s3_copy", what, marks=pytest.mark.store) for what in ("a.fits", "tree")),
]
each_delivery = pytest.mark.parametrize(("site", "what"), DELIVERIES, indirect=["site"])
each_that_copies = pytest.mark.parametrize(
    "site", ["local_copy", pytest.param("jupyter_copy", marks=pytest.mark.hub)], indirect=True
)


def make_tree(site: Site) -> None:
    (site.source / "tree/deep/empty").mkdir(parents=True)
    for path in ("tree/a", "tree/deep/not-listed.pyc", "tree/deep/a name #1 %20?"):
        (site.source / path).write_bytes(CONTENT)
    for made in (site.source / "tree").rglob("*"):
        made.chmod(0o755)


def delivered(site: Site, what: str, destination: str = "product") -> Delivery:
    make_tree(site)
    return site.delivered(site.item(what, destination))


@each_delivery
def test_what_was_delivered_is_removed_and_nothing_else_and_once_more_is_no_error(site: Site, what: str) -> None:
    site.stage(site.item(destination="data/another"))
    before = facts(site.source / "a.fits")
    delivery = delivered(site, what, "data/product")
    assert site.remove(delivery)
    assert site.peer.shown() == ["data", "data/another"]
    assert site.peer.read("data/another") == CONTENT
    assert facts(site.source / "a.fits") == before
    assert not site.remove(delivery)


@each_delivery
def test_what_was_delivered_is_removed_though_its_source_is_gone_but_for_a_hard_link(site: Site, what: str) -> None:
    delivery = delivered(site, what)
    shutil.rmtree(site.source / "tree")
    (site.source / "a.fits").unlink()
    if site.method == "symlink_copy":  # the file has lost a name, and is not known any more
        with pytest.raises(DestinationDiffers):
            site.remove(delivery)
    else:
        assert site.remove(delivery)
        assert site.peer.shown() == []


@each_delivery
def test_something_else_that_has_the_name_of_what_was_delivered_is_not_removed(site: Site, what: str) -> None:
    delivery = delivered(site, what)
    assert site.remove(delivery)
    other = site.peer.put("product")
    with pytest.raises(DestinationDiffers, match="not what was delivered"):
        site.remove(delivery)
    assert site.peer.shown() == ["product"]
    assert other.read_bytes() == b"precious"


@each_that_copies
@pytest.mark.parametrize("how", ["changed", "one more", "one less"])
def test_a_directory_that_somebody_has_changed_is_not_removed(site: Site, how: str) -> None:
    delivery = delivered(site, "tree")
    deep = site.peer.home / "product/deep"
    deep.chmod(0o700)
    match how:
        case "changed":
            (deep / "not-listed.pyc").chmod(0o600)
            (deep / "not-listed.pyc").write_bytes(bytes(reversed(CONTENT)))
        case "one more":
            (deep / "more").write_bytes(b"")
        case _:
            (deep / "not-listed.pyc").unlink()
    before = site.peer.shown()
    with pytest.raises(DestinationDiffers, match="not what was delivered"):
        site.remove(delivery)
    assert site.peer.shown() == before


@each_delivery
def test_whoever_was_overtaken_removes_nothing(site: Site, what: str) -> None:
    delivery = delivered(site, what)
    before = site.peer.shown()
    with pytest.raises(LeaseLost):
        site.remove(delivery, refuse=lambda items: {item_id: LeaseLost("product") for item_id in items})
    assert site.peer.shown() == before
    assert site.remove(delivery)


@each_that_copies
@pytest.mark.parametrize(("what", "changed"), [("a.fits", ""), ("tree", "a"), ("tree", "deep/one more")])
def test_what_somebody_changes_in_the_last_moment_is_not_removed(site: Site, what: str, changed: str) -> None:
    delivery = delivered(site, what)
    file = site.peer.home / "product" / changed

    def change(_: Collection[int]) -> dict[int, StagingError]:
        for path in (file.parent, file):
            if path.exists():
                path.chmod(0o700)
        file.write_bytes(b"precious")
        return {}

    with pytest.raises(DestinationDiffers, match="not what was delivered"):
        site.remove(delivery, refuse=change)
    assert file.read_bytes() == b"precious"
    assert [path for path in site.peer.shown() if not path.startswith("product")] == []


@needs_root
def test_what_lies_where_its_user_may_not_write_any_more_is_not_removed(site_with_modes: Site) -> None:
    site = site_with_modes
    delivery = site.delivered(site.item(destination="a.fits"))
    with site.peer.refusing():
        with pytest.raises(DestinationNotWritable):
            site.remove(delivery)
        assert site.peer.shown() == ["a.fits"]
    assert site.remove(delivery)


@needs_root
@pytest.mark.parametrize("mounted", ["local_copy"], indirect=True)
def test_what_another_account_has_put_into_a_delivery_is_not_removed(mounted: Site) -> None:
    delivery = delivered(mounted, "tree")
    mounted.peer.put("product/theirs", uid=BOB.uid)
    before = mounted.peer.shown()
    with pytest.raises(DestinationError):
        mounted.remove(delivery)
    assert mounted.peer.shown() == before


@pytest.mark.parametrize("path", ["../outside.fits", "/etc/passwd", "sub/../../outside.fits"])
def test_a_source_path_that_leads_out_is_refused(site: Site, path: str) -> None:
    with pytest.raises(PathOutsideArea):
        site.item(source=path)


@pytest.mark.parametrize("path", ["../bob/a.fits", "/etc/cron.d/a", "x/../../bob/a.fits"])
def test_a_destination_path_that_leads_out_is_refused(site: Site, path: str) -> None:
    with pytest.raises(PathOutsideArea):
        site.item(destination=path)


def test_a_link_in_the_source_area_that_leads_out_is_not_followed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (site.source / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(PathOutsideArea):
        site.stage(site.item(source="link"))
    assert site.peer.files() == []


def test_a_link_on_the_way_to_the_destination_is_not_followed(mounted: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (mounted.peer.home / "data").symlink_to(outside)
    with pytest.raises(DestinationNotWritable, match="symbolic link"):
        mounted.stage(mounted.item())
    assert list(outside.iterdir()) == []


# What the user may not read: whose it is, its mode, and that of its folder.
NOT_THEIRS = {
    "root's": (0, 0, 0o600, 0o755),
    "another's": (BOB.uid, BOB.gid, 0o600, 0o755),
    "another group's": (0, BOB.gid, 0o640, 0o2755),
    "in a closed folder": (0, 0, 0o644, 0o700),
    "in another group's folder": (0, BOB.gid, 0o644, 0o2750),
}


@needs_root
@pytest.mark.parametrize("whose", NOT_THEIRS)
@pytest.mark.parametrize("way", ["by its path", "by a link", "in a directory"])
def test_a_method_reads_nothing_that_its_user_may_not_read(site: Site, whose: str, way: str) -> None:
    uid, gid, mode, folder_mode = NOT_THEIRS[whose]
    folder = site.source / "proprietary"
    folder.mkdir()
    (folder / "b.fits").write_bytes(b"not for alice")
    os.chown(folder / "b.fits", uid, gid)
    (folder / "b.fits").chmod(mode)
    os.chown(folder, uid, gid)
    folder.chmod(folder_mode)
    (site.source / "link").symlink_to("proprietary/b.fits")
    source = {"by its path": "proprietary/b.fits", "by a link": "link", "in a directory": "proprietary"}[way]
    with suppress(StagingError) if way == "in a directory" else pytest.raises(SourceError):
        site.stage(site.item(source=source, destination="b.fits"))
    assert [path for path in site.peer.files() if not (site.peer.home / path).is_symlink()] == []


@needs_root
@pytest.mark.parametrize("on_conflict", OnConflict)
@pytest.mark.parametrize("kind", ["file", "tree"])
@pytest.mark.parametrize("uid", [0, BOB.uid])
def test_what_another_account_put_there_is_never_changed(
    mounted: Site, on_conflict: OnConflict, kind: str, uid: int
) -> None:
    content = CONTENT if on_conflict is OnConflict.SKIP_IDENTICAL else b"precious"
    theirs = mounted.peer.put("b" if kind == "file" else "b/theirs", content, uid=uid)
    theirs.chmod(0o644)
    before = facts(theirs)
    with (
        pytest.raises(DestinationError)
        if mounted.method != "local_copy" or kind == "tree" or content != CONTENT
        else nullcontext()
    ):
        mounted.stage(replace(mounted.item(destination="b"), on_conflict=on_conflict))
    assert facts(theirs) == before
    assert mounted.peer.files() == [str(theirs.relative_to(mounted.peer.home))]


@pytest.mark.parametrize("destination", ["delivered/a.fits", "delivered/deep/a.fits"])
def test_a_further_file_into_what_was_delivered_is_told_what_to_do(mounted: Site, destination: str) -> None:
    delivered = mounted.peer.put("delivered/first").parent
    delivered.chmod(0o500)
    try:
        with pytest.raises(DestinationNotWritable, match=r"chmod u\+w") as caught:
            mounted.stage(mounted.item(destination=destination))
        assert str(delivered) in caught.value.message
        assert caught.value.mended_by == "you"
    finally:
        delivered.chmod(0o700)


@needs_root
def test_who_may_not_write_to_their_folder_is_told_so_and_nothing_is_read_for_them(site_with_modes: Site) -> None:
    site = site_with_modes
    with site.peer.refusing():
        with pytest.raises(DestinationNotWritable):
            site.stage(site.item(destination="a.fits"))
        assert site.peer.shown() == []
