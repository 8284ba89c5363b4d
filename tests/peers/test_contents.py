"""A real notebook server's files: what is there, what is made, renamed and removed, and names of every kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.errors import (
    DestinationDiffers,
    DestinationExists,
    DestinationNotWritable,
    DestinationTampered,
    NameNotTaken,
    NotebookTokenRefused,
)
from stager.peers.http import Calls
from stager.peers.jupyter import Contents, ServerState, check_path, publish, upload
from tests.peers.conftest import opened, shown

# Printable ASCII that means something in addresses, shells or file systems, and what is not ASCII.
AWKWARD = [
    *(f"a{character}b" for character in " !\"#$%&'()*+,:;<=>?@[\\]^`{|}~\t\n\r\x01\x7f"),
    *("%20", "%2F", "%63heckpoints", "é", "e\N{COMBINING ACUTE ACCENT}", "星", "😀", "\N{RIGHT-TO-LEFT OVERRIDE}txt"),
    *(" leading", "trailing ", "line\n", "dot.", "~tilde", "tilde~", "-dash", "CON", "n" * 255, "ü" * 127),
    # Endings of the contents API's own addresses, names that it does not list, and notebooks that are none.
    *("checkpoints", "trust", "__pycache__", "a.pyc", "broken.ipynb", "kernel.json", "untitled.txt"),
]
REFUSED = ["", ".", "..", ".hidden", "nul\0", "n" * 256, "ü" * 128, "\udcff"]


def put(contents: Contents, path: str, content: bytes, tmp_path: Path) -> None:
    with opened(tmp_path / "source", content) as source:
        upload(contents, source, path, source_name="source", on_bytes=lambda _: None)


@pytest.mark.parametrize("name", AWKWARD, ids=lambda name: ascii(name[:20]))
def test_a_file_and_a_folder_have_exactly_the_name_that_they_were_given(
    contents: Contents, folder: str, on_disk: Path, tmp_path: Path, name: str
) -> None:
    contents.make_directories(f"{folder}/{name}")
    with opened(tmp_path / "source", b"SIMPLE") as source:
        uploaded = upload(contents, source, f"{folder}/{name}/part", source_name="source", on_bytes=lambda _: None)
    publish(contents, uploaded, f"{folder}/{name}/{name}")
    assert (on_disk / name / name).read_bytes() == b"SIMPLE"
    assert shown(on_disk) == [name, f"{name}/{name}"]
    contents.delete(f"{folder}/{name}/{name}")
    contents.delete(f"{folder}/{name}")
    assert shown(on_disk) == []


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name[:20]))
def test_a_name_that_the_server_refuses_is_refused_before_the_first_byte(name: str) -> None:
    for path in (name, f"a/{name}", f"{name}/a"):
        with pytest.raises(NameNotTaken):
            check_path(path)


def test_a_path_is_taken_up_to_its_bound_and_not_beyond(contents: Contents, folder: str, on_disk: Path) -> None:
    names = [folder, *["ü" * 127] * 11]
    names.append("x" * (3072 - len("/".join(names).encode()) - 1))
    contents.make_directories("/".join(names))
    assert on_disk.joinpath(*names[1:]).is_dir()
    with pytest.raises(NameNotTaken, match="longer than 3072 bytes"):
        contents.make_directories("/".join(names) + "x")


def test_many_make_the_same_folders_at_once(contents: Contents, folder: str, on_disk: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(contents.make_directories, [f"{folder}/a/b/c"] * 32))
    assert shown(on_disk) == ["a", "a/b", "a/b/c"]


def test_what_is_not_there_is_none_and_may_be_removed_again(contents: Contents, folder: str) -> None:
    assert contents.look(f"{folder}/a") is None
    assert contents.look_with_checksum(f"{folder}/a", size_bytes=0) is None
    contents.delete(f"{folder}/a")


def test_a_folder_is_listed_with_kinds_and_sizes(contents: Contents, folder: str, tmp_path: Path) -> None:
    contents.make_directories(f"{folder}/b/c")
    put(contents, f"{folder}/a.ipynb", b"no notebook", tmp_path)
    listed = {entry.name: (entry.is_directory, entry.size_bytes) for entry in contents.list(folder)}
    assert listed == {"a.ipynb": (False, 11), "b": (True, None)}


def test_a_rename_never_overwrites(contents: Contents, folder: str, on_disk: Path, tmp_path: Path) -> None:
    put(contents, f"{folder}/new", b"new", tmp_path)
    put(contents, f"{folder}/old", b"old", tmp_path)
    contents.make_directories(f"{folder}/full/b")
    for taken in ("old", "full"):
        with pytest.raises(DestinationExists):
            contents.rename(f"{folder}/new", f"{folder}/{taken}")
    assert (on_disk / "new").read_bytes() == b"new"
    assert (on_disk / "old").read_bytes() == b"old"
    assert [path.name for path in (on_disk / "full").iterdir()] == ["b"]


def test_a_folder_is_renamed_with_all_that_is_in_it(contents: Contents, folder: str, on_disk: Path) -> None:
    contents.make_directories(f"{folder}/part/a/b")
    contents.rename(f"{folder}/part", f"{folder}/product")
    assert (on_disk / "product" / "a" / "b").is_dir()
    assert contents.look(f"{folder}/part") is None


def test_what_has_gone_cannot_be_renamed(contents: Contents, folder: str) -> None:
    with pytest.raises(DestinationTampered, match="it is gone"):
        contents.rename(f"{folder}/a", f"{folder}/b")
    with pytest.raises(NameNotTaken):
        contents.rename(f"{folder}/a", f"{folder}/.b")


def test_a_file_in_the_way_of_a_folder_is_named(contents: Contents, folder: str, tmp_path: Path) -> None:
    put(contents, f"{folder}/a", b"", tmp_path)
    with pytest.raises(DestinationDiffers, match="it is no directory"):
        contents.make_directories(f"{folder}/a/b")


def test_mode_bits_count(contents: Contents, folder: str, on_disk: Path, tmp_path: Path) -> None:
    on_disk.chmod(0o555)
    try:
        with pytest.raises(DestinationNotWritable, match="Permission denied"):
            put(contents, f"{folder}/a", b"a", tmp_path)
    finally:
        on_disk.chmod(0o755)
    assert shown(on_disk) == []


def test_a_token_that_does_not_count_is_refused_in_words(calls: Calls, server: ServerState, folder: str) -> None:
    stranger = Contents(calls, server, SecretStr("guessed"))
    with pytest.raises(NotebookTokenRefused, match="does not take our token"):
        stranger.look(folder)
    with pytest.raises(NotebookTokenRefused, match="does not take our token"):
        stranger.make_directories(folder)
