"""A user's mover, between an area that is root's alone and the user's folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from stager.engine import Expected
from stager.errors import StagingError
from stager.methods import Item
from stager.mover.answers import Watch
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.mover.start import start_mover
from stager.paths import locate, make_home
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
