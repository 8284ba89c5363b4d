"""The promises of ``stager/methods/method.py``: every method is held to each of them."""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stager.engine import Control, Expected, Ownership, Published
from stager.errors import (
    DestinationDiffers,
    DestinationExists,
    DestinationNotWritable,
    LeaseLost,
    PathOutsideArea,
    SourceMismatch,
    SourceNotFound,
)
from stager.identity import Identity
from stager.methods import METHODS, Item, LastCopy, StagingMethod
from stager.models import ManifestEntry, OnConflict, StorageArea
from stager.paths import locate

CONTENT = b"SIMPLE  =                    T" * 1000
NOBODY = 65534


@dataclass(frozen=True)
class Site:
    """Two storage areas, and a method that stages between them."""

    method: StagingMethod
    source: Path
    users: Path

    def item(self, source: str = "a.fits", destination: str = "data/a.fits") -> Item:
        is_root = os.geteuid() == 0
        return Item(
            source=locate(self.source, source, may_be_absolute=True),
            destination=locate(self.users, destination, inside="alice"),
            source_area=StorageArea(name="source", path=self.source),
            identity=Identity(
                username="alice", uid=NOBODY, gid=NOBODY, groups=(NOBODY,), acting_as="alice", owns_files=is_root
            ),
            ownership=Ownership(uid=NOBODY if is_root else None, gid=NOBODY if is_root else None),
            on_conflict=OnConflict.SKIP_IDENTICAL,
            expected=Expected(),
            last_copy=None,
        )

    def stage(self, item: Item, *, confirm: Callable[[], None] = lambda: None) -> Published | None:
        """Do all four steps, as a flow does them; return None for a duplicate."""
        survey = self.method.check_source(item)
        control = Control(lambda _bytes, _files: None, threading.Event())
        if self.method.check_duplicate(item, survey, on_file=lambda _: None, control=control):
            return None
        staged = self.method.transfer(item, survey, known=None, on_file=lambda _: None, control=control)
        try:
            self.method.set_read_only(item, staged)
            self.method.flush([staged])
            return self.method.publish(item, staged, confirm=confirm)
        finally:
            self.method.discard(staged)

    def seen_by_user(self) -> list[Path]:
        return sorted(path for path in self.users.rglob("*") if not path.is_dir())


@pytest.fixture(params=sorted(METHODS))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    source, users = tmp_path / "storage", tmp_path / "users"
    source.mkdir()
    users.mkdir()
    (source / "a.fits").write_bytes(CONTENT)
    (source / "a.fits").chmod(0o644)
    return Site(METHODS[request.param], source, users)


def facts(path: Path) -> tuple[bytes, int, int, int, int]:
    status = path.stat()
    return path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


def test_what_is_staged_reads_like_its_source_and_the_source_is_unchanged(site: Site) -> None:
    before = facts(site.source / "a.fits")
    published = site.stage(site.item())
    assert published is not None
    assert (site.users / "alice/data/a.fits").read_bytes() == CONTENT
    assert facts(site.source / "a.fits") == before


def test_the_user_cannot_write_to_what_is_staged(site: Site) -> None:
    site.stage(site.item())
    status = (site.users / "alice/data/a.fits").stat()
    is_owner = status.st_uid == NOBODY
    assert not status.st_mode & (stat.S_IWUSR if is_owner else stat.S_IWOTH)


def test_nothing_has_the_final_name_before_it_is_published(site: Site) -> None:
    seen: list[bool] = []
    site.stage(site.item(), confirm=lambda: seen.append(os.path.lexists(site.users / "alice/data/a.fits")))
    assert seen == [False]
    assert site.seen_by_user() == [site.users / "alice/data/a.fits"]


def test_a_writer_that_was_overtaken_publishes_nothing(site: Site) -> None:
    def overtaken() -> None:
        raise LeaseLost("a.fits")

    with pytest.raises(LeaseLost):
        site.stage(site.item(), confirm=overtaken)
    assert site.seen_by_user() == []


def test_missing_source_leaves_no_trace(site: Site) -> None:
    with pytest.raises(SourceNotFound, match="does not exist"):
        site.stage(site.item(source="missing.fits"))
    assert list(site.users.iterdir()) == []


def test_what_is_there_already_is_skipped(site: Site) -> None:
    site.stage(site.item())
    before = os.lstat(site.users / "alice/data/a.fits")
    assert site.stage(site.item()) is None
    assert os.lstat(site.users / "alice/data/a.fits").st_ino == before.st_ino


def test_what_a_comparison_tells_of_is_as_in_the_source(site: Site) -> None:
    site.stage(site.item())
    told: list[ManifestEntry] = []
    control = Control(lambda _bytes, _files: None, threading.Event())
    survey = site.method.check_source(site.item())
    assert site.method.check_duplicate(site.item(), survey, on_file=told.append, control=control)
    whole = ManifestEntry(path="a.fits", size_bytes=len(CONTENT), checksum=f"{zlib.adler32(CONTENT):08x}")
    assert told in ([], [whole])  # a link is not read


def test_something_else_at_the_destination_is_not_touched(site: Site) -> None:
    other = site.users / "alice/data/a.fits"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"precious")
    with pytest.raises(DestinationDiffers):
        site.stage(site.item())
    assert other.read_bytes() == b"precious"


def test_fail_refuses_even_what_is_identical(site: Site) -> None:
    site.stage(site.item())
    with pytest.raises(DestinationExists):
        site.stage(replace(site.item(), on_conflict=OnConflict.FAIL))


def test_replace_exchanges_what_was_there(site: Site) -> None:
    other = site.users / "alice/data/a.fits"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"precious")
    site.stage(replace(site.item(), on_conflict=OnConflict.REPLACE))
    assert other.read_bytes() == CONTENT
    assert site.seen_by_user() == [other]


def test_a_staging_given_up_midway_leaves_nothing_and_may_be_done_again(site: Site) -> None:
    item = site.item()
    control = Control(lambda _bytes, _files: None, threading.Event())
    survey = site.method.check_source(item)
    staged = site.method.transfer(item, survey, known=None, on_file=lambda _: None, control=control)
    site.method.discard(staged)
    site.method.discard(staged)
    assert site.seen_by_user() == []
    assert site.stage(item) is not None


MISMATCHES = [
    Expected(checksum="1"),
    Expected(size_bytes=len(CONTENT) + 1),
    Expected(size_bytes=len(CONTENT) + 1, checksum=f"{zlib.adler32(CONTENT):x}"),
]


@pytest.mark.parametrize("expected", MISMATCHES)
@pytest.mark.parametrize("on_conflict", [OnConflict.SKIP_IDENTICAL, OnConflict.REPLACE])
def test_a_source_that_is_not_as_requested_is_not_delivered(
    site: Site, expected: Expected, on_conflict: OnConflict
) -> None:
    item = replace(site.item(), expected=expected, on_conflict=on_conflict)
    with pytest.raises(SourceMismatch, match=f"{site.source}/a.fits: .* requested"):
        site.stage(item)
    assert list(site.users.iterdir()) == []
    site.stage(site.item())
    with pytest.raises(SourceMismatch):
        site.stage(item)


def test_a_source_that_is_as_requested_is_delivered_and_skipped(site: Site) -> None:
    expected = Expected(checksum=f"ADLER32:{zlib.adler32(CONTENT):X}", size_bytes=len(CONTENT))
    assert site.stage(replace(site.item(), expected=expected)) is not None
    assert site.stage(replace(site.item(), expected=expected)) is None


@pytest.mark.parametrize("expected", [Expected(checksum="1"), Expected(size_bytes=1)])
def test_a_directory_that_is_not_as_requested_is_not_delivered(site: Site, expected: Expected) -> None:
    (site.source / "tree").mkdir()
    (site.source / "tree/a").write_bytes(CONTENT)
    with pytest.raises(SourceMismatch):
        site.stage(replace(site.item(source="tree"), expected=expected))
    assert list(site.users.iterdir()) == []


@pytest.mark.parametrize("checksum", ["1", None])
def test_our_own_receipt_counts_only_with_the_checksum_that_is_requested(site: Site, checksum: str | None) -> None:
    published = site.stage(site.item())
    assert published is not None
    receipt = LastCopy(
        file_id=1,
        source_fingerprint=site.method.check_source(site.item()).fingerprint,
        destination_fingerprint=published.fingerprint,
        checksum=published.checksum,
    )
    item = replace(site.item(), last_copy=receipt, expected=Expected(checksum=checksum))
    if checksum is None:
        assert site.stage(item) is None
        return
    with pytest.raises(SourceMismatch):
        site.stage(item)


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
    assert site.seen_by_user() == []


def test_a_link_on_the_way_to_the_destination_is_not_followed(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (site.users / "alice").mkdir()
    (site.users / "alice/data").symlink_to(outside)
    with pytest.raises(DestinationNotWritable, match="symbolic link"):
        site.stage(site.item())
    assert list(outside.iterdir()) == []
