"""One thread reads with a user's rights, and gets its own back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stager.identity import Identity
from stager.privileges import Capability, reading_as

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
    assert not int(inside["CapEff"], 16) & 1 << Capability.CAP_DAC_READ_SEARCH
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
    with reading_as(ALICE, roots=[Path("/tmp")]), pytest.raises(PermissionError):
        (closed / "file").read_bytes()


def test_an_area_that_the_user_may_not_enter_is_read_and_not_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_bytes(b"content")
    with reading_as(ALICE, roots=[tmp_path]):
        assert (tmp_path / "file").read_bytes() == b"content"
        with pytest.raises(PermissionError):
            (tmp_path / "file").write_bytes(b"other")
