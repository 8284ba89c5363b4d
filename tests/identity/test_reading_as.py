"""One thread reads with a user's rights, and gets its own back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stager.identity import Identity
from stager.privileges import reading_as

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as somebody else")
ALICE = Identity(username="alice", uid=70_001, gid=70_010, groups=(70_010, 70_011), acting_as="alice", owns_files=False)


def rights(thread: int) -> dict[str, str]:
    lines = Path(f"/proc/self/task/{thread}/status").read_text().splitlines()
    said = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {name: said[name] for name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm")}


def test_one_thread_reads_as_the_user_and_no_other_does() -> None:
    seen: dict[str, dict[str, str]] = {}
    others: list[dict[str, str]] = []

    def read() -> None:
        me = threading.get_native_id()
        seen["before"] = rights(me)
        with reading_as(ALICE):
            seen["as alice"] = rights(me)
            others.append(rights(os.getpid()))
        seen["after"] = rights(me)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    inside = seen["as alice"]
    assert inside["Uid"].split()[3] == "70001"
    assert inside["Gid"].split()[3] == "70010"
    assert inside["Groups"] == "70010 70011"
    assert int(inside["CapEff"], 16) == 0
    assert seen["after"] == seen["before"] == others[0]


def test_rights_come_back_after_an_error() -> None:
    before = rights(threading.get_native_id())
    with pytest.raises(ZeroDivisionError), reading_as(ALICE):
        raise ZeroDivisionError
    assert rights(threading.get_native_id()) == before


def test_what_is_closed_to_the_user_is_closed_to_the_thread(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    (closed / "file").write_bytes(b"secret")
    with reading_as(ALICE), pytest.raises(PermissionError):
        (closed / "file").read_bytes()


def test_what_was_opened_before_is_a_way_in_and_the_modes_beneath_it_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        (home / name).write_bytes(b"content")
        (home / name).chmod(mode)
    opened = os.open(home, os.O_PATH)
    try:
        with reading_as(ALICE):
            os.close(os.open("open", os.O_RDONLY, dir_fd=opened))
            with pytest.raises(PermissionError):
                os.open("closed", os.O_RDONLY, dir_fd=opened)
            with pytest.raises(PermissionError):
                os.open("open", os.O_WRONLY, dir_fd=opened)
    finally:
        os.close(opened)
