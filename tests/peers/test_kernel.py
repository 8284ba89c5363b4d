"""A kernel of a real notebook server makes what was delivered read-only."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stager.errors import PeerFault
from stager.peers.jupyter import Contents, NotDoneByKernel, lay_out, look_by_kernel, remove_by_kernel, seal


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def kernels_of(contents: Contents) -> list[str]:
    answer = contents.calls.ask("GET", f"{contents.url}api/kernels", peer="", headers=contents.headers)
    return [kernel["id"] for kernel in answer.json()]


def own_pid(contents: Contents) -> int:
    return int(contents.kernel.value_of("import os", "os.getpid()"))


@pytest.fixture
def contents(contents: Contents) -> Iterator[Contents]:
    """The files of alice's server, whose kernel goes with the test."""
    yield contents
    contents.close()
    assert kernels_of(contents) == []


def test_a_product_is_read_only_with_its_folders_and_no_link_is_followed(
    contents: Contents, folder: str, on_disk: Path
) -> None:
    product, other = on_disk / "a 'product'", on_disk / "other"
    (product / "b").mkdir(parents=True)
    (product / "b" / "data").write_bytes(b"")
    other.write_bytes(b"")
    assert seal(contents, f"{folder}/{product.name}") is None
    assert [mode(path) for path in (product, product / "b", product / "b" / "data")] == [0o555, 0o555, 0o444]
    assert (mode(other), mode(on_disk)) == (0o644, 0o755)
    assert seal(contents, f"{folder}/other") is None
    assert mode(other) == 0o444
    assert len(kernels_of(contents)) == 1


def test_what_is_read_only_is_removed_and_no_link_is_followed(contents: Contents, folder: str, on_disk: Path) -> None:
    product, other = on_disk / "product", on_disk / "other"
    (product / "b").mkdir(parents=True)
    other.mkdir()
    for file in (product / "b" / "not-listed.pyc", other / "file"):
        file.write_bytes(b"")
    (product / "b" / "link").symlink_to(other)
    (on_disk / "link").symlink_to(other)
    for inner in (product / "b", product):
        inner.chmod(0o500)
    for name in ("product", "link"):
        assert remove_by_kernel(contents, f"{folder}/{name}") is None
    assert [path.name for path in on_disk.iterdir()] == ["other"]
    assert (other / "file").exists()
    assert "No such file" in str(remove_by_kernel(contents, f"{folder}/product"))


def test_what_could_not_be_sealed_is_said(contents: Contents, folder: str, on_disk: Path) -> None:
    (on_disk / "target").write_bytes(b"")
    (on_disk / "product").mkdir()
    (on_disk / "product" / "link").symlink_to(on_disk / "target")
    assert "could not do it" in str(seal(contents, f"{folder}/product"))
    assert mode(on_disk / "target") == 0o644


@pytest.mark.parametrize("how", ["killed", "culled"])
def test_a_kernel_that_ended_meanwhile_is_started_anew(
    contents: Contents, folder: str, on_disk: Path, how: str
) -> None:
    for name in ("first", "second"):
        (on_disk / name).write_bytes(b"")
    assert seal(contents, f"{folder}/first") is None
    [kept] = kernels_of(contents)
    pid = own_pid(contents)
    if how == "killed":
        os.kill(pid, signal.SIGKILL)
    else:
        contents.calls.ask("DELETE", f"{contents.url}api/kernels/{kept}", peer="", headers=contents.headers)
    assert seal(contents, f"{folder}/second") is None
    assert mode(on_disk / "second") == 0o444
    assert own_pid(contents) != pid
    assert kernels_of(contents) != [kept]


def test_a_kernel_that_ends_each_time_is_told(contents: Contents) -> None:
    for _ in ("not started yet", "started"):
        with pytest.raises(NotDoneByKernel, match="does not answer: it ended"):
            contents.kernel.value_of("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")


def test_small_files_are_laid_out_and_no_link_is_followed(contents: Contents, folder: str, on_disk: Path) -> None:
    files = {"a 'b' \"c\" é": b"one", "deep/empty": b"", "deep/d": b"three"}
    (on_disk / "product" / "deep").mkdir(parents=True)
    (on_disk / "bundle").write_bytes(b"".join(files.values()))
    sizes = [(path, len(content)) for path, content in files.items()]
    told = lay_out(contents, f"{folder}/bundle", f"{folder}/product", sizes)
    for (path, content), entry in zip(files.items(), told, strict=True):
        laid = on_disk / "product" / path
        assert laid.read_bytes() == content
        assert (entry.sha256, entry.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
        assert entry.modified_ns == laid.stat().st_mtime_ns
    other, placed = on_disk / "other", on_disk / "product" / "deep" / "d"
    other.write_bytes(b"")
    placed.unlink()
    placed.symlink_to(other)
    with pytest.raises(PeerFault, match="could not do it"):
        lay_out(contents, f"{folder}/bundle", f"{folder}/product", sizes)
    assert other.read_bytes() == b""


def test_a_kernel_tells_what_a_large_file_is_and_the_server_where_there_is_none(
    contents: Contents, folder: str, on_disk: Path
) -> None:
    (on_disk / "large").write_bytes(bytes(3 << 20))
    by_server = contents.look_with_checksum(f"{folder}/large", size_bytes=3 << 20)
    by_kernel = look_by_kernel(contents, f"{folder}/large", size_bytes=3 << 20)
    assert by_kernel is not None
    assert by_kernel.modified_ns == (on_disk / "large").stat().st_mtime_ns
    assert replace(by_kernel, modified_ns=None) == by_server
    assert look_by_kernel(contents, f"{folder}/nothing", size_bytes=0) is None
