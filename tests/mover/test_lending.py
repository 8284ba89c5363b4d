"""What users cannot enter is read for them where the operator says so: their items, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from stager.engine.source import folder_of
from stager.errors import SourceNotFound, SourceUnreadable
from stager.mover.item_messages import SOURCE
from stager.mover.lending import Lending
from stager.paths import locate
from stager.records.tables import StagedFile
from stager.runs.batch_size import BATCH_SIZE
from stager.runs.entry import Entry
from stager.runs.shared_batches import small_among
from stager.runs.stop import Stop
from tests.mover.conftest import ALICE

if TYPE_CHECKING:
    from tests.mover.conftest import Closed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")

OPEN = Path("/proc/self/fd")


@pytest.mark.parametrize("source", ["one.fits", "tree"])
def test_a_product_of_an_area_that_is_read_by_the_service_arrives_whole_and_is_compared(
    closed: Closed, source: str
) -> None:
    item = closed.item(source)
    assert [closed.staged(item, "local_copy"), closed.staged(item, "local_copy")] == [None, None]
    arrived = closed.home / source
    files = [path for path in (closed.storage / source).rglob("*") if path.is_file()] or [closed.storage / source]
    for file in files:
        assert (arrived / file.relative_to(closed.storage / source)).read_bytes() == file.read_bytes()
    assert {path.lstat().st_uid for path in (arrived, *arrived.rglob("*"))} == {ALICE.uid}


@pytest.mark.parametrize("method", ["local_symlink", "symlink_copy"])
def test_links_to_such_an_area_are_made_as_well(closed: Closed, method: str) -> None:
    assert closed.staged(closed.item("one.fits"), method) is None
    assert (closed.home / "one.fits").samefile(closed.storage / "one.fits")


@pytest.mark.parametrize(("source", "read_as"), [("one.fits", "user"), ("tree", "user"), ("way", "service")])
def test_without_that_word_or_through_a_link_nothing_of_it_is_read(
    closed: Closed, source: str, read_as: Literal["user", "service"]
) -> None:
    assert isinstance(closed.staged(closed.item(source, read_as=read_as), "local_copy"), SourceUnreadable)
    assert list((closed.home).iterdir()) == []


def test_what_has_the_name_of_a_users_folder_by_now_is_not_read_for_them(closed: Closed) -> None:
    secret = closed.users.parent / "root's own"
    secret.mkdir(mode=0o700)
    (secret / "wanted").write_bytes(b"root's")
    (closed.home / "wanted").write_bytes(b"alice's")
    closed.home.rename(closed.users / "away")
    closed.home.symlink_to(secret)
    wanted, got = locate(closed.home, "wanted"), locate(closed.home, "got")
    item = replace(closed.item("one.fits"), source=wanted, destination=got)
    assert closed.staged(item, "local_copy") is None
    assert (closed.users / "away/got").read_bytes() == b"alice's"


def test_what_is_not_there_is_told(closed: Closed) -> None:
    assert isinstance(closed.staged(closed.item("missing"), "local_copy"), SourceNotFound)


def test_nothing_but_the_items_and_what_is_in_them_is_lent(closed: Closed) -> None:
    lending = Lending(folder_of)
    lending.begin({1: closed.item("tree").source})
    found, number = lending.opened(1, SOURCE, "tree")
    with found:
        assert sorted(os.listdir(found.fd)) == ["a", "again", "inner", "link"]  # noqa: PTH208 - a descriptor
    lending.opened(1, number, "a")[0].close()
    refused = [(1, SOURCE, "other.fits"), (1, SOURCE, "."), (1, number, ".."), (1, number, "../one.fits")]
    refused += [(1, number, "inner/b"), (1, number, "link"), (1, number + 1, "a"), (2, SOURCE, "one.fits")]
    refused += [(1, number, ""), (1, number, "a\0")]
    for item_id, folder, name in refused:
        with pytest.raises(OSError):  # noqa: PT011 - by whichever errno
            lending.opened(item_id, folder, name)
    lending.returned(1, number)
    with pytest.raises(OSError):  # noqa: PT011 - likewise
        lending.opened(1, number, "a")


def test_to_look_at_the_items_of_many_requests_takes_no_descriptor_for_each(closed: Closed) -> None:
    item, before = closed.item("one.fits"), len(list(OPEN.iterdir()))
    files = [StagedFile(id=number) for number in range(3 * BATCH_SIZE)]  # type: ignore[call-arg] # no more is looked at
    many = [Entry(file=file, item=item, place="", stopped=Stop()) for file in files]
    assert len(small_among(many, closed.mover, "local_copy")) == len(many)
    assert len(list(OPEN.iterdir())) - before <= BATCH_SIZE
