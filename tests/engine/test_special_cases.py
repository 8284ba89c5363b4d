"""The written rules for what is not a plain file, and for sources that move while they are read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import stat
import subprocess
import sys
import threading
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager import engine
from stager.checksums import Checksum
from stager.engine.staging_folder import LOCK_SUFFIX
from stager.errors import (
    Cancelled,
    DestinationBusy,
    InvalidPath,
    OverlappingPaths,
    SourceChanged,
    SourceMismatch,
    SymlinkLeadsOut,
    UnsupportedFileType,
)
from stager.paths import Descriptor
from tests.engine.conftest import Areas, quiet
from tests.modes import MODES
from tests.open_folder import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = str(Path(__file__).parents[2])
BIG = 8 * 1024 * 1024


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda path: path.write_bytes(b"b" * (BIG + 1)),
    "shrinks": lambda path: os.truncate(path, BIG // 2),
    "is rewritten with the same size": lambda path: path.write_bytes(b"b" * BIG),
    "vanishes": lambda path: path.unlink(),
    "is replaced": lambda path: replace(path, b"a" * BIG),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_not_delivered(areas: Areas, change: str) -> None:
    source = areas.source / "a"
    source.write_bytes(b"a" * BIG)
    once = iter([CHANGES[change]])

    def report(_bytes: int, _files: int) -> None:
        if step := next(once, None):
            step(source)

    with pytest.raises(SourceChanged):
        areas.bring("a", "a", control=engine.Control(report, threading.Event(), 0.0))
    assert areas.leftovers() == []


def test_a_tree_that_changes_behind_the_walk_is_not_delivered(areas: Areas) -> None:
    (areas.source / "t").mkdir()
    for name in "abc":
        (areas.source / "t" / name).write_bytes(b"1")

    def late(_: object) -> None:
        (areas.source / "t/a").write_bytes(b"2")

    with pytest.raises(SourceChanged):
        areas.bring("t", "t", on_file=late)
    assert areas.leftovers() == []


def test_a_cancel_in_the_middle_leaves_nothing(areas: Areas) -> None:
    with (areas.source / "a").open("wb") as file:
        file.truncate(100 * 1024**3)
        file.write(b"x" * BIG)
    cancelled = threading.Event()
    control = engine.Control(lambda _bytes, _files: cancelled.set(), cancelled, 0.0)
    with pytest.raises(Cancelled):
        areas.bring("a", "a", control=control)
    assert areas.leftovers() == []


def test_a_sparse_file_stays_sparse_and_its_checksum_counts_the_holes(areas: Areas) -> None:
    with (areas.source / "a").open("wb") as file:
        file.seek(64 * 1024 * 1024)
        file.write(b"end")
    published = areas.stage("a", "a")
    there = (areas.destination / "a").stat()
    assert there.st_size == 64 * 1024 * 1024 + 3
    assert there.st_blocks * 512 < 1024 * 1024
    assert areas.stage("a", "again").checksum == published.checksum
    assert (areas.destination / "a").read_bytes() == (areas.source / "a").read_bytes()


def test_empty_files_and_directories_are_delivered(areas: Areas) -> None:
    (areas.source / "t/empty").mkdir(parents=True)
    (areas.source / "t/file").touch()
    published = areas.stage("t", "t")
    assert (published.size_bytes, published.file_count) == (0, 1)
    assert (areas.destination / "t/empty").is_dir()
    assert areas.stage("t/file", "file").checksum == "00000001"


def test_hard_links_inside_a_tree_stay_links_of_each_other(areas: Areas) -> None:
    (areas.source / "t").mkdir()
    (areas.source / "t/a").write_bytes(b"x")
    (areas.source / "t/b").hardlink_to(areas.source / "t/a")
    areas.stage("t", "t")
    assert (areas.destination / "t/a").samefile(areas.destination / "t/b")
    assert not (areas.destination / "t/a").samefile(areas.source / "t/a")


def test_links_that_stay_inside_a_tree_are_kept(areas: Areas) -> None:
    (areas.source / "t/sub").mkdir(parents=True)
    (areas.source / "t/file").write_bytes(b"x")
    (areas.source / "t/sub/link").symlink_to("../file")
    areas.stage("t", "t")
    assert (areas.destination / "t/sub/link").readlink().as_posix() == "../file"


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "sub/../../outside", "loop/../../../outside"])
def test_links_that_lead_out_of_a_tree_are_refused_by_name(areas: Areas, target: str) -> None:
    (areas.source / "t/sub").mkdir(parents=True)
    (areas.source / "outside").write_bytes(b"secret")
    (areas.source / "t/loop").symlink_to("sub")
    (areas.source / "t/link").symlink_to(target)
    with pytest.raises(SymlinkLeadsOut, match="t/link"):
        engine.survey(areas.at("t"))


def test_fifos_and_sockets_are_refused_by_name(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    (areas.source / "t").mkdir()
    os.mkfifo(areas.source / "t/pipe")
    with pytest.raises(UnsupportedFileType, match="t/pipe"):
        engine.survey(areas.at("t"))
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        monkeypatch.chdir(areas.source)  # the address of a socket is short, unix(7)
        listener.bind("s")
        with pytest.raises(UnsupportedFileType, match="s is"):
            engine.survey(areas.at("s"))


def test_a_source_inside_its_destination_and_the_reverse_are_refused(areas: Areas) -> None:
    (areas.source / "t/sub").mkdir(parents=True)
    inside = engine.survey(areas.at("t"))
    areas.destination.rmdir()
    areas.destination.symlink_to(areas.source / "t/sub")
    with pytest.raises(OverlappingPaths):
        areas.bring("t", "copy", survey=inside)
    areas.destination.unlink()
    areas.destination.mkdir()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"x" * 255, "ελ".encode(), b" trailing "])
def test_any_name_that_a_file_can_have_survives(areas: Areas, name: bytes) -> None:
    folder = areas.source / "t"
    folder.mkdir()
    (folder / os.fsdecode(name)).write_bytes(b"x")
    copy = os.fsdecode(b"copy of " + name[:200])
    areas.stage("t", copy)
    assert [os.fsencode(path.name) for path in (areas.destination / copy).iterdir()] == [name]


def test_whoever_takes_every_lock_before_us_ends_the_item(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest racer there can be: between the file that is made and its lock."""
    (areas.source / "a").write_bytes(b"x")
    opened, taken = os.open, []

    def taking(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        ours = opened(path, flags, mode, dir_fd=dir_fd)
        if os.fsencode(path).endswith(LOCK_SUFFIX):
            taken.append(Descriptor(opened(path, os.O_RDONLY, dir_fd=dir_fd)))
            fcntl.flock(taken[-1].fd, fcntl.LOCK_EX)
        return ours

    monkeypatch.setattr(os, "open", taking)
    with pytest.raises(DestinationBusy) as caught:
        areas.stage("a", "a")
    taken.clear()
    assert caught.value.retryable
    assert areas.leftovers() == []


def test_names_that_are_ours_are_refused(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    with pytest.raises(InvalidPath):
        areas.bring("a", ".stager-mine/a")


def test_a_checksum_that_the_request_gives_must_be_the_sources(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"abc")
    expected = engine.Expected(checksum=Checksum.parse("24d0127"), size_bytes=3)
    assert areas.stage("a", "a", expected=expected).checksum == "024d0127"
    with pytest.raises(SourceMismatch, match="024d0127"):
        areas.bring("a", "b", expected=engine.Expected(checksum=Checksum.parse("11111111")))
    assert areas.leftovers() == ["a"]


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
@pytest.mark.parametrize("hole", [0, BIG])
def test_a_large_or_sparse_file_has_both_checksums_taken_while_it_is_copied(
    areas: Areas, algorithm: str, hole: int
) -> None:
    source = areas.source / "a"
    with source.open("wb") as file:
        for start in (hole, 2 * hole + BIG):
            file.seek(start)
            file.write(os.urandom(BIG))
        file.truncate(file.tell() + hole)
    content = source.read_bytes()
    right = Checksum.parse(f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}")
    published = areas.stage("a", "a", expected=engine.Expected(checksum=right))
    assert published.checksum == f"{zlib.adler32(content):08x}"
    assert (areas.destination / "a").read_bytes() == content
    assert (areas.destination / "a").stat().st_blocks <= source.stat().st_blocks
    engine.verify(
        areas.at("a"),
        survey=engine.survey(areas.at("a")),
        expected=engine.Expected(checksum=right),
        control=quiet(),
    )


def test_who_stops_it_stops_the_hashing_of_a_hole(areas: Areas) -> None:
    with (areas.source / "a").open("wb") as file:
        file.truncate(1 << 40)
    stopped = threading.Event()
    threading.Timer(0.5, stopped.set).start()
    with pytest.raises(Cancelled):
        areas.bring(
            "a",
            "a",
            expected=engine.Expected(checksum=Checksum.parse("md5:" + 32 * "0")),
            control=engine.Control(lambda _bytes, _files: None, stopped),
        )
    assert areas.leftovers() == []


def test_the_source_is_never_changed(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    before = (areas.source / "a").stat()
    areas.stage("a", "a")
    after = (areas.source / "a").stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns, after.st_ctime_ns, after.st_nlink) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_nlink,
    )


@pytest.mark.parametrize("destination", ["t", "on/the/way"])
def test_a_setgid_folder_gives_its_group_and_its_bit_to_all_that_comes_into_it(areas: Areas, destination: str) -> None:
    if os.geteuid() == 0:
        os.chown(areas.destination, -1, 70_011)
    areas.destination.chmod(0o2775)
    (areas.source / "t/sub").mkdir(parents=True)
    (areas.source / "t/sub/a").write_bytes(b"x")
    areas.stage("t", destination)
    engine.repair(areas.to(destination), MODES)
    group = areas.destination.stat().st_gid
    arrived = {path: path.stat() for path in areas.destination.rglob("*")}
    assert {path: (status.st_gid, status.st_mode & stat.S_ISGID) for path, status in arrived.items()} == {
        path: (group, stat.S_ISGID if path.is_dir() else 0) for path in arrived
    }
    assert stat.S_IMODE((areas.destination / destination / "sub/a").stat().st_mode) == 0o400


def test_a_sweep_leaves_what_a_living_owner_works_on_and_removes_what_a_dead_one_left(areas: Areas) -> None:
    (areas.source / "t").mkdir()
    (areas.source / "t/a").write_bytes(b"x")
    script = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from stager import engine\n"
        "from stager.paths import locate\n"
        "source, destination = locate(Path(sys.argv[1]), 't'), locate(Path(sys.argv[2]), 't')\n"
        "control = engine.Control(lambda b, f: None, threading.Event())\n"
        "from tests.modes import MODES as mine\n"
        "kept = engine.transfer(source, destination, survey=engine.survey(source), modes=mine, control=control)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(areas.source), str(areas.destination)]
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        assert engine.sweep(areas.to("t").parent) == 0
        assert len(areas.leftovers()) == 3
        owner.kill()
    assert engine.sweep(areas.to("t").parent) == 1
    assert areas.leftovers() == []


@pytest.mark.parametrize("name", [".stager-notes.txt", ".stager-left.lock", ".stager-0123456789abcdef"])
def test_a_sweep_leaves_what_is_only_named_like_ours(areas: Areas, name: str) -> None:
    (areas.destination / name).write_bytes(b"a user's own")
    assert engine.sweep(areas.to("a").parent) == 0
    assert areas.leftovers() == [name]


def test_a_sweep_leaves_what_was_delivered_under_names_like_ours(areas: Areas) -> None:
    names = [".stager-0123456789abcdef", ".stager-0123456789abcdef.lock", ".stager-notes.txt"]
    (areas.source / "t").mkdir()
    for name in names:
        (areas.source / "t" / name).touch()
    areas.stage("t", "t")
    assert engine.sweep(areas.to("t/a").parent) == 0
    assert areas.leftovers() == ["t", *(f"t/{name}" for name in names)]


def test_what_could_not_be_discarded_keeps_its_lock_and_is_swept(areas: Areas) -> None:
    (areas.source / "a").write_bytes(b"x")
    staged = areas.bring("a", "a")
    engine.seal(staged)
    temporary = areas.destination / os.fsdecode(staged.name)
    temporary.rename(areas.destination / "taken")
    temporary.mkdir()
    engine.discard(staged)
    assert temporary.exists()
    assert engine.sweep(areas.to("a").parent) == 1
    assert areas.leftovers() == ["taken"]


STAGED_BY_NOBODY = """
import os, sys
from pathlib import Path
from stager.errors import SourceUnreadable
from stager.privileges import Ids, become
from tests.engine.conftest import Areas
if os.geteuid() == 0:
    become(Ids(65534, 65534, ()))
try:
    Areas(Path(sys.argv[1]), Path(sys.argv[2])).stage(sys.argv[3], "delivered")
except SourceUnreadable as error:
    print(error.message, end="")
"""


@pytest.mark.parametrize(("source", "closed"), [("a", "a"), ("t", "t/b"), ("t", "t/sub")])
def test_a_source_that_may_not_be_read_is_told_by_name_and_nothing_is_delivered(source: str, closed: str) -> None:
    with open_folder() as top:
        made = Areas(top / "source", top / "user")
        (made.source / "t/sub").mkdir(parents=True)
        made.destination.mkdir()
        for file in ("a", "t/a", "t/b"):
            (made.source / file).write_bytes(b"x")
        made.destination.chmod(0o777)
        (made.source / closed).chmod(0)
        command = [sys.executable, "-c", STAGED_BY_NOBODY, str(made.source), str(made.destination), source]
        told = subprocess.run(command, env={"PYTHONPATH": CHECKOUT}, capture_output=True, text=True, check=True)
        assert told.stdout == f"Source cannot be read: {made.source}/{closed}: Permission denied (EACCES)"
        assert made.leftovers() == []
