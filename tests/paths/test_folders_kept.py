"""A folder is opened once for what is in it, but for a short time, and few are open at a time."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from stager.paths import MOST_KEPT, Descriptor, Symlinks, folders_kept, locate, open_folder


def opened(area: Path, name: str) -> Descriptor:
    (area / name).mkdir(exist_ok=True)
    return open_folder(locate(area, f"{name}/file"), (name.encode(),), Symlinks.REFUSED)


def test_a_folder_that_is_exchanged_is_the_old_one_for_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("stager.paths.directory.time", SimpleNamespace(monotonic=lambda: now[0]))
    with folders_kept():
        first = opened(tmp_path, "a")
        (tmp_path / "a").rename(tmp_path / "moved")
        assert opened(tmp_path, "a") is first
        now[0] = 1.0
        assert os.fstat(opened(tmp_path, "a").fd).st_ino == (tmp_path / "a").stat().st_ino
    assert opened(tmp_path, "a") is not opened(tmp_path, "a")


def test_the_oldest_goes_where_there_are_many(tmp_path: Path) -> None:
    with folders_kept():
        first, *others = (opened(tmp_path, str(number)) for number in range(MOST_KEPT + 1))
        assert [opened(tmp_path, str(number)) is one for number, one in enumerate(others, 1)] == [True] * MOST_KEPT
        assert opened(tmp_path, "0") is not first
