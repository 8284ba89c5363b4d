"""What users cannot enter is read for them where the operator says so: their items, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stager.engine import Expected, Modes
from stager.errors import SourceNotFound, SourceUnreadable, StagingError
from stager.methods import Item
from stager.models import OnConflict
from stager.mover import Done, Mover, Watch, start_mover
from stager.mover.items import SOURCE
from stager.mover.lending import Lending
from stager.paths import locate, make_home
from stager.privileges import Ids

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")
ALICE = Ids(70_001, 70_010, (70_010,))


@pytest.fixture
def closed() -> Iterator[tuple[Path, Path]]:
    """A source area that is root's alone, and a folder for users."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        (top / "storage/tree/inner").mkdir(parents=True)
        (top / "users").mkdir(mode=0o700)
        for file in ("one.fits", "other.fits", "tree/a", "tree/inner/b"):
            (top / "storage" / file).write_bytes(file.encode())
            (top / "storage" / file).chmod(0o600)
        (top / "storage/tree/link").symlink_to("a")
        os.link(top / "storage/tree/a", top / "storage/tree/again")
        (top / "storage/way").symlink_to("tree")
        (top / "storage").chmod(0o700)
        yield top / "storage", top / "users"


def item_of(storage: Path, users: Path, source: str, *, read_as: str = "service") -> Item:
    return Item(
        source=locate(storage, source),
        source_seen_at=storage,
        read_as=read_as,  # type: ignore[arg-type] # both words are
        destination=locate(users / "alice", Path(source).name),
        modes=Modes(),
        on_conflict=OnConflict.SKIP_IDENTICAL,
        expected=Expected(),
        last_copy=None,
    )


@pytest.fixture
def mover(closed: tuple[Path, Path]) -> Iterator[Mover]:
    storage, users = closed
    with make_home(users, "alice", uid=ALICE.uid, gid=ALICE.gid, mode=0o700) as home:
        made = start_mover("alice", ALICE, roots={users / "alice": home}, linked_from=[storage], silence=600)
    yield made
    made.close()


def staged(mover: Mover, item: Item, method: str) -> StagingError | None:
    """Stage an item; return why not."""
    mover.begin(method, {1: item})
    try:
        for step in ("check source", "check duplicate", "transfer", "set read-only", "flush", "publish"):
            [(_, outcome)] = mover.do(step, {1: Watch(stopped=threading.Event())})
            if not isinstance(outcome, Done):
                return outcome
            if outcome.is_duplicate:
                return None
        return None
    finally:
        mover.end()


@pytest.mark.parametrize("source", ["one.fits", "tree"])
def test_a_product_of_an_area_that_is_read_by_the_service_arrives_whole_and_is_compared(
    closed: tuple[Path, Path], mover: Mover, source: str
) -> None:
    storage, users = closed
    item = item_of(storage, users, source)
    assert [staged(mover, item, "local_copy"), staged(mover, item, "local_copy")] == [None, None]
    arrived = users / "alice" / source
    files = [path for path in (storage / source).rglob("*") if path.is_file()] or [storage / source]
    for file in files:
        assert (arrived / file.relative_to(storage / source)).read_bytes() == file.read_bytes()
    assert {path.lstat().st_uid for path in (arrived, *arrived.rglob("*"))} == {ALICE.uid}


@pytest.mark.parametrize("method", ["local_symlink", "symlink_copy"])
def test_links_to_such_an_area_are_made_as_well(closed: tuple[Path, Path], mover: Mover, method: str) -> None:
    storage, users = closed
    assert staged(mover, item_of(storage, users, "one.fits"), method) is None
    assert (users / "alice/one.fits").samefile(storage / "one.fits")


@pytest.mark.parametrize(("source", "read_as"), [("one.fits", "user"), ("tree", "user"), ("way", "service")])
def test_without_that_word_or_through_a_link_nothing_of_it_is_read(
    closed: tuple[Path, Path], mover: Mover, source: str, read_as: str
) -> None:
    storage, users = closed
    assert isinstance(staged(mover, item_of(storage, users, source, read_as=read_as), "local_copy"), SourceUnreadable)
    assert list((users / "alice").iterdir()) == []


def test_what_is_not_there_is_told(closed: tuple[Path, Path], mover: Mover) -> None:
    storage, users = closed
    assert isinstance(staged(mover, item_of(storage, users, "missing"), "local_copy"), SourceNotFound)


def test_nothing_but_the_items_and_what_is_in_them_is_lent(closed: tuple[Path, Path]) -> None:
    storage, users = closed
    lending = Lending()
    lending.begin({1: item_of(storage, users, "tree"), 2: item_of(storage, users, "one.fits", read_as="user")})
    found, number = lending.opened(1, SOURCE, "tree")
    with found:
        assert sorted(os.listdir(found.fd)) == ["a", "again", "inner", "link"]  # noqa: PTH208 - a descriptor
    lending.opened(1, number, "a")[0].close()
    refused = [(1, SOURCE, "other.fits"), (1, SOURCE, "."), (1, number, ".."), (1, number, "../one.fits")]
    refused += [(1, number, "inner/b"), (1, number, "link"), (1, number + 1, "a"), (2, SOURCE, "one.fits")]
    refused += [(3, SOURCE, "tree"), (1, number, ""), (1, number, "a\0")]
    for item_id, folder, name in refused:
        with pytest.raises(OSError):  # noqa: PT011 - by whichever errno
            lending.opened(item_id, folder, name)
    lending.returned(1, number)
    with pytest.raises(OSError):  # noqa: PT011 - likewise
        lending.opened(1, number, "a")
    shutil.rmtree(storage / "tree")
