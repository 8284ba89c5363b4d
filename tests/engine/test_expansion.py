"""What is beneath a folder and fits a pattern is listed in order, once, and from anywhere on."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stager.engine import Control, expanded
from stager.engine.control import unattended
from stager.errors import Cancelled, InvalidPath
from stager.models import StagingItem
from stager.paths import locate
from stager.vocabulary import Expand

TREE = ("a.fits", "b/1.fits", "b/2.txt", "b/c/3.fits", "b/c/d.ms/table", "b*/[x]", "z.txt")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def listed(area: Path, source: str, expand: str, *, after: str = "") -> list[str]:
    folder, pattern = Expand(expand).parted(source)
    location = locate(area, f"{folder}/-").parent
    return [found.path for found in expanded(location, pattern, control=unattended(), after=after)]


@pytest.mark.parametrize(
    ("source", "expand", "folder", "names"),
    [
        (
            "tree",
            "directory",
            "tree",
            [*TREE],
        ),
        ("tree/b/", "directory", "tree/b/", ["1.fits", "2.txt", "c/3.fits", "c/d.ms/table"]),
        ("tree/*.fits", "glob", "tree", ["a.fits"]),
        ("tree//./*.fits", "glob", "tree//.", ["a.fits"]),
        ("tree/*", "glob", "tree", ["a.fits", "b", "b*", "z.txt"]),
        ("tree/?", "glob", "tree", ["b"]),
        (
            "tree/**",
            "glob",
            "tree",
            [*TREE],
        ),
        ("tree/**/*.fits", "glob", "tree", ["a.fits", "b/1.fits", "b/c/3.fits"]),
        ("tree/**/*.ms", "glob", "tree", ["b/c/d.ms"]),
        ("tree/**/**/**/*.ms", "glob", "tree", ["b/c/d.ms"]),
        ("tree/**/c/**/table", "glob", "tree", ["b/c/d.ms/table"]),
        ("tree/b/[13]*", "glob", "tree/b", ["1.fits"]),
        ("tree/b/[!13]*", "glob", "tree/b", ["2.txt", "c"]),
        ("tree/b[*]/*", "glob", "tree", ["b*/[x]"]),
        ("t*/b/**", "glob", ".", ["tree/b/1.fits", "tree/b/2.txt", "tree/b/c/3.fits", "tree/b/c/d.ms/table"]),
        ("tree/a.fits", "glob", "tree", ["a.fits"]),
        ("tree/b", "prefix", "tree", ["b/1.fits", "b/2.txt", "b/c/3.fits", "b/c/d.ms/table", "b*/[x]"]),
        ("tree/b*", "prefix", "tree", ["b*/[x]"]),
        ("tree/b/", "prefix", "tree/b", ["1.fits", "2.txt", "c/3.fits", "c/d.ms/table"]),
        ("tree/b/.", "prefix", "tree/b", []),
        ("tr", "prefix", ".", [f"tree/{name}" for name in TREE]),
    ],
)
def test_a_pattern_stands_for_what_fits_it(tree: Path, source: str, expand: str, folder: str, names: list[str]) -> None:
    assert StagingItem(source=source, destination="d", expand=Expand(expand)).read_at == folder
    assert sorted(listed(tree, source, expand)) == sorted(names)


@pytest.mark.parametrize(("source", "expand"), [("tree", "directory"), ("tree/**/*.fits", "glob"), ("tree/*", "glob")])
def test_it_goes_on_after_any_path_that_was_listed_before(tree: Path, source: str, expand: str) -> None:
    whole = listed(tree, source, expand)
    assert [listed(tree, source, expand, after=path) for path in whole] == [
        whole[number:] for number in range(1, len(whole) + 1)
    ]


def test_it_goes_on_where_what_was_listed_last_is_gone(tree: Path) -> None:
    (tree / "tree/b/2.txt").unlink()
    assert listed(tree, "tree", "directory", after="b/2.txt") == ["b/c/3.fits", "b/c/d.ms/table", "b*/[x]", "z.txt"]


def test_what_was_listed_as_a_file_and_is_a_directory_by_now_is_not_looked_into(tree: Path) -> None:
    (tree / "tree/b/2.txt").unlink()
    (tree / "tree/b/2.txt").mkdir()
    (tree / "tree/b/2.txt/inner").touch()
    assert listed(tree, "tree/b", "directory", after="2.txt") == ["c/3.fits", "c/d.ms/table"]


def test_no_link_is_followed_and_each_is_listed_with_what_is_no_file(tree: Path) -> None:
    (tree / "tree/b/up").symlink_to("..")
    os.mkfifo(tree / "tree/b/pipe")
    found = expanded(locate(tree, "tree/b"), ["**"], control=unattended())
    sizes = {one.path: one.size_bytes for one in found}
    assert sizes == {"1.fits": 8, "2.txt": 7, "c/3.fits": 10, "c/d.ms/table": 14, "pipe": None, "up": None}


def test_it_stops_when_it_is_to(tree: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Cancelled):
        list(expanded(locate(tree, "tree"), ["**"], control=Control(lambda *_: None, stopped, interval=0)))


def test_what_is_too_deep_or_too_long_is_named(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.mkdir()
    folder = os.open(deep, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=folder)
        inner = os.open("n" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    with pytest.raises(InvalidPath, match="more than 4096 bytes"):
        list(expanded(locate(tmp_path, "deep"), ["**"], control=unattended()))
