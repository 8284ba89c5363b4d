"""No path leaves its area, whatever it says and whichever way the kernel offers."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stager.errors import InvalidPath, PathOutsideArea, StagingError
from stager.paths import Descriptor, Symlinks, locate, open_location, user_folder
from stager.paths.beneath import Opener, open_by_openat2, open_by_walk


@pytest.fixture(params=[open_by_openat2, open_by_walk])
def opener(request: pytest.FixtureRequest) -> Opener:
    found: Opener = request.param
    try:
        os.close(found(os.open("/", os.O_PATH), (b".",), os.O_PATH, Symlinks.REFUSED))
    except OSError as error:
        pytest.skip(f"needs openat2, which the kernel refuses: {error}")
    return found


@pytest.fixture
def area(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outside").write_bytes(b"secret")
    inside = tmp_path / "area"
    (inside / "sub/deeper").mkdir(parents=True)
    (inside / "sub/file").write_bytes(b"inside")
    (inside / "Sub").mkdir()
    (inside / "up").symlink_to("../outside")
    (inside / "absolute").symlink_to(tmp_path / "outside")
    (inside / "folder-up").symlink_to("..")
    (inside / "kept").symlink_to("sub/deeper/../file")
    (inside / "loop").symlink_to("loop")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def read(opener: Opener, area: int, path: bytes, symlinks: Symlinks = Symlinks.FOLLOWED_BENEATH) -> bytes:
    descriptor = opener(area, path.split(b"/"), os.O_RDONLY, symlinks)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("path", [b"sub/file", b"kept"])
def test_what_stays_inside_is_opened(opener: Opener, area: int, path: bytes) -> None:
    assert read(opener, area, path) == b"inside"


@pytest.mark.parametrize("path", [b"up", b"absolute", b"folder-up/outside", b"sub/../../outside"])
def test_what_leads_out_is_not_opened(opener: Opener, area: int, path: bytes) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
        read(opener, area, path)


@pytest.mark.parametrize("path", [b"kept", b"up", b"loop", b"folder-up/area/sub/file"])
def test_where_links_are_refused_none_is_followed(opener: Opener, area: int, path: bytes) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read(opener, area, path, Symlinks.REFUSED)


@pytest.mark.parametrize("path", [b"SUB/file", b"Sub/file", b"missing"])
def test_case_twins_are_other_names(opener: Opener, area: int, path: bytes) -> None:
    with pytest.raises(FileNotFoundError):
        read(opener, area, path)


def test_a_loop_of_links_ends(opener: Opener, area: int) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read(opener, area, b"loop")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("..", PathOutsideArea),
        ("a/../b", PathOutsideArea),
        ("/etc/passwd", PathOutsideArea),
        ("/areas/../etc", PathOutsideArea),
        ("", InvalidPath),
        ("a\0b", InvalidPath),
        ("x" * 256, InvalidPath),
        ("x/" * 2049, InvalidPath),
        ("/areas", InvalidPath),
        ("./.", InvalidPath),
    ],
)
def test_what_a_path_says_is_refused_before_anything_is_opened(path: str, error: type[StagingError]) -> None:
    with pytest.raises(error):
        locate(Path("/areas"), path, may_be_absolute=True)


def test_a_path_of_4096_bytes_is_gone_to_its_end() -> None:
    parts = [*["x" * 127] * 31, "x" * 128]
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        folder = held.enter_context(Descriptor(os.open(name, os.O_RDONLY)))
        for part in parts:  # the kernel takes 4,095 bytes at a time
            os.mkdir(part, dir_fd=folder.fd)
            folder = held.enter_context(Descriptor(os.open(part, os.O_RDONLY, dir_fd=folder.fd)))
        place = locate(Path(name), "/".join(parts))
        found = held.enter_context(open_location(place, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED))
        assert os.fstat(found.fd).st_ino == os.fstat(folder.fd).st_ino


@pytest.mark.parametrize("path", ["a/b", "a//b", "./a/b/", "/areas/a/b"])
def test_one_place_has_one_location(path: str) -> None:
    assert locate(Path("/areas"), path, may_be_absolute=True).parts == (b"a", b"b")


@pytest.mark.parametrize("user", ["..", ".", "a/b", "", "a\0"])
def test_a_user_is_one_folder(user: str) -> None:
    with pytest.raises(InvalidPath):
        user_folder(Path("/areas"), user)
