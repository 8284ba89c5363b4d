"""A user's mover, between an area that is root's alone and the user's folder; and one that lies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from stager.engine import Expected, link_opened
from stager.errors import StagingError
from stager.methods import Item
from stager.mover.answers import Answers, Watch
from stager.mover.channel import Channel
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.mover.start import start_mover
from stager.paths import Descriptor, locate, make_home
from stager.privileges import Ids
from stager.vocabulary import OnConflict
from tests.modes import MODES
from tests.open_folder import open_folder

ALICE = Ids(70_001, 70_010, (70_010,))
STEPS = ("check source", "check duplicate", "transfer", "set read-only", "flush", "publish")


@dataclass(frozen=True)
class Closed:
    """A source area that is root's alone, a closed area of users, and Alice's mover."""

    storage: Path
    users: Path
    mover: Mover

    @property
    def home(self) -> Path:
        return self.users / "alice"

    def item(self, source: str, *, read_as: Literal["user", "service"] = "service") -> Item:
        return Item(
            source=locate(self.storage, source),
            source_seen_at=self.storage,
            read_as=read_as,
            destination=locate(self.home, Path(source).name),
            modes=MODES,
            on_conflict=OnConflict.SKIP_IDENTICAL,
            expected=Expected(),
            last_copy=None,
        )

    def do(self, step: str) -> StepDone | StagingError:
        [(_, outcome)] = self.mover.do(step, {1: Watch(stopped=threading.Event())})
        return outcome

    def staged(self, item: Item, method: str) -> StagingError | None:
        """Stage an item; return why not."""
        self.mover.begin(method, {1: item})
        try:
            for step in STEPS:
                outcome = self.do(step)
                if not isinstance(outcome, StepDone):
                    return outcome
                if outcome.is_duplicate:
                    return None
            return None
        finally:
            self.mover.end()


@pytest.fixture
def closed() -> Iterator[Closed]:
    with open_folder() as top:
        (top / "storage/tree/inner").mkdir(parents=True)
        (top / "users").mkdir(mode=0o700)
        for file in ("one.fits", "other.fits", "tree/a", "tree/inner/b"):
            (top / "storage" / file).write_bytes(file.encode())
            (top / "storage" / file).chmod(0o600)
        (top / "storage/tree/link").symlink_to("a")
        os.link(top / "storage/tree/a", top / "storage/tree/again")
        (top / "storage/way").symlink_to("tree")
        (top / "storage").chmod(0o700)
        with make_home(top / "users", "alice", uid=ALICE.uid, gid=ALICE.gid, mode=0o700) as home:
            roots = {top / "users/alice": home}
            mover = start_mover("alice", ALICE, roots=roots, linked_from=[top / "storage"], silence=600)
            yield Closed(top / "storage", top / "users", mover)
            mover.close()


class Liar:
    """The other end: a process that lives, and whatever it is made to say."""

    def __init__(self) -> None:
        ours, self.end = socket.socketpair()
        self.process = subprocess.Popen(["sleep", "infinity"])
        channel = Channel(ours, patience=600)
        life = Descriptor(os.pidfd_open(self.process.pid))
        answers = Answers(channel, link_opened, {})
        self.mover = Mover(name="alice", channel=channel, life=life, silence=600, answers=answers)

    def says(self, *messages: Any, raw: bytes = b"") -> list[tuple[int, StepDone | StagingError]]:
        """Have it answer an order for the items 1 and 2, and return what is believed."""
        for message in messages:
            self.end.sendall(json.dumps(message).encode() + b"\n")
        if raw:
            self.end.sendall(raw)
        watch = Watch(stopped=threading.Event())
        return list(self.mover.do("check source", {1: watch, 2: watch}))


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.process.kill()
    made.mover.close()
    made.end.close()
    made.process.wait()
