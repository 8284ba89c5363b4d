"""The service reads a user's source as their mover lends it: with the user's rights, and no more."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.engine import survey
from stager.engine.source import opened
from stager.errors import MoverLost, SourceError, SourceUnreadable, StagingError
from stager.methods import Item
from stager.mover.borrowing import borrowed
from stager.paths import Location, locate
from tests.mover.conftest import ALICE, Closed
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.mover.conftest import Liar

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")


@pytest.fixture
def theirs(closed: Closed) -> Closed:
    """Let Alice read the storage, but for other.fits and tree/inner."""
    closed.storage.chmod(0o755)
    for path in closed.storage.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755)
    (closed.storage / "other.fits").chmod(0o600)
    (closed.storage / "closed").mkdir(mode=0o700)
    (closed.storage / "closed/c").write_bytes(b"c")
    return closed


@contextmanager
def lent(closed: Closed, item: Item) -> Iterator[Location]:
    closed.mover.lend_from({1: item.source} if item.read_as == "user" else {})
    yield borrowed(item, mover=closed.mover, item_id=1, roots={}, is_left=threading.Event())
    closed.mover.end()


@pytest.mark.parametrize("source", ["one.fits", "tree", "way"])
def test_a_source_is_what_its_user_finds_there(theirs: Closed, source: str) -> None:
    item = theirs.item(source, read_as="user")
    with lent(theirs, item) as found:
        assert survey(found) == survey(item.source)


def test_bytes_come_through_a_link_on_the_way_and_from_what_is_opened_alone(theirs: Closed) -> None:
    with lent(theirs, theirs.item("way", read_as="user")) as found, opened(found) as tree:
        with tree.content.opened("a", os.O_RDONLY) as file:
            assert os.read(file.fd, 100) == b"tree/a"
        with tree.content.opened("inner", os.O_RDONLY) as inner, inner.opened("b", os.O_RDONLY) as file:
            assert os.read(file.fd, 100) == b"tree/inner/b"
        assert tree.content.link_text("link") == "a"


@pytest.mark.parametrize("source", ["other.fits", "closed", "closed/c", "missing"])
def test_what_the_user_may_not_read_is_not_read_for_them(theirs: Closed, source: str) -> None:
    with lent(theirs, theirs.item(source, read_as="user")) as found, pytest.raises(SourceError), opened(found) as it:
        os.listdir(it.content.fd)  # noqa: PTH208 - a descriptor


def test_a_directory_with_something_that_the_user_may_not_read_is_not_read(theirs: Closed) -> None:
    (theirs.storage / "tree/inner").chmod(0o700)
    with lent(theirs, theirs.item("tree", read_as="user")) as found, pytest.raises(SourceUnreadable):
        survey(found)


def test_what_is_not_in_the_item_is_not_lent(theirs: Closed) -> None:
    item = theirs.item("tree", read_as="user")
    with lent(theirs, item) as found:
        another = replace(found, parts=locate(theirs.storage, "one.fits").parts)
        with pytest.raises(StagingError), opened(another):
            pass
        with opened(found) as tree, pytest.raises(OSError):  # noqa: PT011 - by whichever errno
            tree.content.opened("../one.fits", os.O_RDONLY)


def test_an_area_that_is_read_by_the_service_is_read_without_the_mover_and_by_no_link(closed: Closed) -> None:
    item = closed.item("tree")
    with lent(closed, item) as found:
        assert survey(found) == survey(item.source)
    with lent(closed, closed.item("way")) as found, pytest.raises(SourceUnreadable):
        survey(found)


def test_the_mover_is_the_user_still(theirs: Closed) -> None:
    theirs.mover.lend_from({1: theirs.item("one.fits", read_as="user").source})
    assert theirs.staged(theirs.item("one.fits", read_as="user"), "local_copy") is None
    assert (theirs.home / "one.fits").stat().st_uid == ALICE.uid


FILE = [0o100644, 1, 1, 1, 0, 0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    "what", ["a pipe", "a directory for a file", "nothing", "a status of nonsense", "a short status"]
)
def test_of_what_a_mover_hands_over_files_and_directories_alone_are_taken(liar: Liar, what: str) -> None:
    named = {"nonsense": 1.0} if what == "a status of nonsense" else {}
    status = FILE[:9] if what == "a short status" else FILE
    reader, writer = os.pipe()
    folder = os.open("/", os.O_RDONLY)
    given = {"a pipe": [reader], "a directory for a file": [folder]}.get(what, [])
    for shown, descriptors in (({"status": [status, named]}, []), ({"folder": 0}, given)):
        said = [json.dumps(one) + "\n" for one in ({"says": "done", "id": 1, "shown": shown}, {"says": "over"})]
        socket.send_fds(liar.end, ["".join(said).encode()], descriptors)
    item = Closed(Path("/storage"), Path("/users"), liar.mover).item("a", read_as="user")
    try:
        with (
            pytest.raises(StagingError),
            opened(borrowed(item, mover=liar.mover, item_id=1, roots={}, is_left=threading.Event())),
        ):
            pass
    finally:
        for one in (reader, writer, folder):
            os.close(one)


def test_a_mover_that_lives_and_does_not_answer_is_ended_once_it_is_waited_for_no_more(liar: Liar) -> None:
    is_left, ended = threading.Event(), threading.Event()

    def live() -> None:
        while not ended.wait(0.05):
            liar.end.sendall(b'{"says": "alive"}\n')

    threading.Thread(target=live, daemon=True).start()
    threading.Timer(0.5, is_left.set).start()
    item = Closed(Path("/storage"), Path("/users"), liar.mover).item("a", read_as="user")
    try:
        with pytest.raises(MoverLost, match="not waited for any more"):
            borrowed(item, mover=liar.mover, item_id=1, roots={}, is_left=is_left).held.status("a")  # type: ignore[union-attr]
    finally:
        ended.set()
    assert liar.process.wait(PATIENCE) < 0
