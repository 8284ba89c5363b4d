"""The last step: one rename, onto nothing or onto what was there, or nothing at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager import engine
from stager.engine.stage_link import refuse_writable
from stager.errors import (
    DestinationDiffers,
    DestinationTampered,
    HardLinkImpossible,
    LeaseLost,
    OverlappingPaths,
    SourceNotFound,
    StagingError,
    StorageFault,
    UnsupportedFileType,
)
from stager.paths import locate
from tests.engine.conftest import publish
from tests.modes import MODES

if TYPE_CHECKING:
    from tests.engine.conftest import Areas


def sealed(areas: Areas, source: str, destination: str) -> engine.Staged:
    staged = areas.bring(source, destination)
    engine.seal(staged)
    engine.flush([staged])
    return staged


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def make_tree(top: Path, content: bytes = b"new") -> None:
    (top / "sub").mkdir(parents=True)
    (top / "sub/a").write_bytes(content)
    os.utime(top / "sub/a", ns=(1, 1_000_000_001))
    os.utime(top / "sub", ns=(1, 2_000_000_001))


def test_a_tree_arrives_read_only_with_its_times(areas: Areas) -> None:
    make_tree(areas.source / "t")
    areas.stage("t", "t")
    there = areas.destination / "t"
    assert [mode(there), mode(there / "sub"), mode(there / "sub/a")] == [0o500, 0o500, 0o400]
    assert (there / "sub").stat().st_mtime_ns == 2_000_000_001
    assert (there / "sub/a").stat().st_mtime_ns == 1_000_000_001


def test_modes_are_those_that_the_site_wants(areas: Areas) -> None:
    make_tree(areas.source / "t")
    areas.stage("t", "t", modes=engine.Modes(file=0o440, directory=0o550, folder=0o700))
    assert mode(areas.destination / "t/sub") == 0o550


@pytest.mark.parametrize("old", ["file", "tree"])
@pytest.mark.parametrize("new", ["file", "tree"])
def test_a_replacement_takes_the_place_of_whatever_was_there(areas: Areas, old: str, new: str) -> None:
    make_tree(areas.source / "tree")
    (areas.source / "file").write_bytes(b"new")
    make_tree(areas.source / "old/tree", b"old")
    (areas.source / "old/file").write_bytes(b"old")
    areas.stage(f"old/{old}", "p")
    areas.stage(new, "p", replace=True)
    there = areas.destination / "p"
    assert (there if new == "file" else there / "sub/a").read_bytes() == b"new"
    assert sorted(path.name for path in areas.destination.iterdir()) == ["p"]


def test_without_leave_to_replace_nothing_that_is_there_is_touched(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"new")
    (areas.destination / "a").write_bytes(b"old")
    before = (areas.destination / "a").stat()
    with pytest.raises(DestinationDiffers):
        areas.stage("a", "a")
    after = (areas.destination / "a").stat()
    assert (after.st_ino, after.st_ctime_ns, after.st_mode) == (before.st_ino, before.st_ctime_ns, before.st_mode)
    assert areas.leftovers() == ["a"]


def test_what_changed_hands_during_the_copy_is_not_replaced(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"new")
    (areas.destination / "a").write_bytes(b"old")
    (areas.destination / "other").write_bytes(b"somebody's")
    staged = sealed(areas, "a", "a")
    (areas.destination / "other").replace(areas.destination / "a")
    with pytest.raises(DestinationDiffers):
        publish(staged, replace=True)
    engine.discard(staged)
    assert (areas.destination / "a").read_bytes() == b"somebody's"
    assert areas.leftovers() == ["a"]


def test_a_lost_lease_stops_it_at_the_last_moment(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")

    with pytest.raises(LeaseLost):
        areas.stage("a", "deep/a", refuse=lambda numbers: {number: LeaseLost("a") for number in numbers})
    assert areas.leftovers() == []


def several(areas: Areas, *destinations: str) -> dict[int, engine.Publication]:
    (areas.source / "a").write_bytes(b"x")
    return {
        number: engine.Publication(staged=sealed(areas, "a", destination), replace=False)
        for number, destination in enumerate(destinations, start=1)
    }


def discard(products: dict[int, engine.Publication]) -> None:
    for product in reversed(products.values()):
        engine.discard(product.staged)


def test_of_several_products_each_that_cannot_be_published_is_taken_back_alone(areas: Areas) -> None:
    products = several(areas, "a", "b", "deep/c", "d", "e")
    (areas.destination / os.fsdecode(products[2].staged.name)).unlink()
    (areas.destination / "d").write_bytes(b"somebody's")
    seen: list[set[int]] = []

    def refuse(numbers: Collection[int]) -> dict[int, StagingError]:
        seen.append({*numbers})
        return {3: LeaseLost("deep/c")}

    outcomes = engine.publish(products, refuse=refuse)
    discard(products)
    assert seen == [{1, 3, 4, 5}]
    errors = {number: type(one) for number, one in outcomes.items() if isinstance(one, StagingError)}
    assert errors == {2: DestinationTampered, 3: LeaseLost, 4: DestinationDiffers}
    assert outcomes.keys() == {1, 2, 3, 4, 5}
    assert areas.leftovers() == ["a", "d", "e"]
    assert (areas.destination / "d").read_bytes() == b"somebody's"


@pytest.mark.parametrize("folders", [("", "", ""), ("new/", "", "other/")])
def test_of_several_products_none_stays_whose_names_are_not_durable(
    areas: Areas, folders: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    products = several(areas, *(f"{folder}{number}" for number, folder in enumerate(folders)))

    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys.modules["stager.engine.publish"], "syncfs", fails)
    monkeypatch.setattr(os, "fsync", fails)
    outcomes = engine.publish(products, refuse=lambda _: {})
    discard(products)
    assert {type(one) for one in outcomes.values()} == {StorageFault}
    assert areas.leftovers() == []


def test_a_temporary_name_that_is_of_something_else_is_not_published(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    staged = sealed(areas, "a", "a")
    temporary = areas.destination / os.fsdecode(staged.name)
    temporary.rename(areas.destination / "stolen")
    temporary.write_bytes(b"forged")
    with pytest.raises(DestinationTampered):
        publish(staged)
    engine.discard(staged)
    assert not (areas.destination / "a").exists()
    assert (areas.destination / "stolen").read_bytes() == b"x"


def test_a_folder_that_was_moved_away_gets_nothing(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    (areas.destination / "f").mkdir()
    staged = sealed(areas, "a", "f/a")
    (areas.destination / "f").rename(areas.destination / "moved")
    (areas.destination / "f").mkdir()
    with pytest.raises(DestinationTampered):
        publish(staged)
    engine.discard(staged)
    assert areas.leftovers() == ["f", "moved"]


def test_discarding_twice_and_after_publishing_does_nothing(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    staged = sealed(areas, "a", "a")
    publish(staged)
    engine.discard(staged)
    engine.discard(staged)
    assert areas.leftovers() == ["a"]


def test_a_destination_inside_its_source_is_refused(areas: Areas) -> None:
    make_tree(areas.source / "t")
    areas.destination.rmdir()
    areas.destination.symlink_to(areas.source)
    with pytest.raises(OverlappingPaths):
        areas.bring("t/sub", "t")
    with pytest.raises(OverlappingPaths):
        areas.bring("t/sub/a", "t/sub/a")
    areas.destination.unlink()
    areas.destination.mkdir()


def test_a_symbolic_link_is_delivered_as_it_was_asked_for(areas: Areas) -> None:
    staged = engine.stage_symlink(b"/seen/by/users", areas.to("deep/link"), modes=MODES)
    engine.seal(staged)
    engine.flush([staged])
    assert publish(staged).kind == "symlink"
    assert (areas.destination / "deep/link").readlink() == Path("/seen/by/users")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file of another account")
def test_a_hard_link_leaves_the_shared_file_as_it_is(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    (areas.source / "a").chmod(0o444)
    os.chown(areas.source / "a", 65534, 65534)
    staged = engine.stage_hard_link(areas.at("a"), areas.to("a"), modes=MODES, link=engine.link_opened)
    engine.seal(staged)
    publish(staged)
    assert (areas.destination / "a").samefile(areas.source / "a")
    assert mode(areas.source / "a") == 0o444
    assert areas.leftovers() == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file of another account")
def test_the_fingerprint_of_a_hard_link_is_taken_after_another_of_the_same_file_was_taken_back(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    (areas.source / "a").chmod(0o444)
    os.chown(areas.source / "a", 65534, 65534)
    products = {
        name: engine.stage_hard_link(areas.at("a"), areas.to(name), modes=MODES, link=engine.link_opened)
        for name in ("a", "moved/b")
    }
    for staged in products.values():
        engine.seal(staged)
    (areas.destination / "moved").rename(areas.destination / "elsewhere")
    some = enumerate(engine.Publication(staged=staged, replace=False) for staged in products.values())
    first, second = engine.publish(dict(some), refuse=lambda _: {}).values()
    found = engine.fingerprint(areas.to("a"))
    for staged in reversed(products.values()):
        engine.discard(staged)
    assert isinstance(first, engine.Published)
    assert first.fingerprint == found
    assert isinstance(second, DestinationTampered)


@pytest.mark.parametrize(("bits", "uid", "gids"), [(0o444, 0, ()), (0o446, 1, ()), (0o464, 1, (0,))])
def test_a_hard_link_through_which_the_user_could_write_is_refused(
    areas: Areas, bits: int, uid: int, gids: tuple[int, ...]
) -> None:
    (areas.source / "a").write_bytes(b"x")
    (areas.source / "a").chmod(bits)
    status = (areas.source / "a").stat()
    with pytest.raises(HardLinkImpossible):
        refuse_writable(status, "a", uid=status.st_uid + uid, gids=[status.st_gid + gid for gid in gids])


def test_a_hard_link_to_ones_own_file_is_refused_and_leaves_nothing(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    with pytest.raises(HardLinkImpossible):
        engine.stage_hard_link(areas.at("a"), areas.to("a"), modes=MODES, link=engine.link_opened)
    assert areas.leftovers() == []


def test_a_device_is_refused_unopened() -> None:
    with pytest.raises(UnsupportedFileType, match="a character device"):
        engine.survey(locate(Path("/dev"), "null"))


def test_a_missing_source_is_named(areas: Areas) -> None:
    with pytest.raises(SourceNotFound, match="missing"):
        engine.survey(areas.at("missing"))


def test_only_what_is_equal_byte_by_byte_is_a_duplicate(areas: Areas) -> None:
    make_tree(areas.source / "t")
    areas.stage("t", "t")
    make_tree(areas.destination / "other", b"old")
    survey = engine.survey(areas.at("t"))
    same, other, nothing = (
        engine.compare(areas.at("t"), areas.to(name), survey=survey, checksum=None) for name in ("t", "other", "none")
    )
    assert (same, nothing) == (None, engine.ABSENT)
    assert isinstance(other, str)
    assert "sub/a" in other
