"""A user's folder is theirs: made so, finished so, and no other account's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stager.errors import DestinationNotWritable, InvalidPath
from stager.paths import make_home, open_home

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give folders away")
ALICE, BOB = 70_001, 70_002


def made(area: Path, mode: int = 0o750) -> tuple[int, int]:
    with make_home(area, "alice", uid=ALICE, gid=ALICE, mode=mode) as home:
        status = os.fstat(home.fd)
    return status.st_uid, stat.S_IMODE(status.st_mode)


def test_a_folder_is_made_for_the_user_alone_and_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    assert made(tmp_path) == (ALICE, 0o750)
    (tmp_path / "alice").chmod(0o711)
    assert made(tmp_path) == (ALICE, 0o711)


def test_a_folder_whose_making_was_broken_off_is_finished(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice").chmod(stat.S_ISVTX | 0o700)
    assert made(tmp_path) == (ALICE, 0o750)


def test_another_accounts_folder_is_nobodys_home(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir(mode=0o777)
    os.chown(tmp_path / "alice", BOB, BOB)
    with pytest.raises(DestinationNotWritable, match="another account"):
        made(tmp_path)


def test_a_link_is_nobodys_home(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "alice").symlink_to("elsewhere")
    with pytest.raises(OSError, match="Not a directory"):
        made(tmp_path)
    with pytest.raises(OSError, match="Not a directory"):
        open_home(tmp_path, "alice")


@pytest.mark.parametrize("name", ["..", ".", "a/b", ""])
def test_what_is_no_name_of_a_folder_is_no_home(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidPath):
        open_home(tmp_path, name)
