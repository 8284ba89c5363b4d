"""A source area, a place of a user's, and whoever stages from the one to the other by a method."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stager.engine import Expected, Published, Refuse, Survey
from stager.errors import StagingError
from stager.methods import Item, LastCopy, Promise
from stager.mover.answers import Watch
from stager.mover.mover import Mover
from stager.mover.replies import StepDone
from stager.paths import Place, locate
from stager.privileges import Ids
from stager.runs.sender import Sender
from stager.vocabulary import ManifestEntry, OnConflict
from tests.modes import MODES

CONTENT = b"SIMPLE  =                    T" * 1000
IS_ROOT = os.geteuid() == 0
ALICE, BOB = Ids(70_001, 70_010, (70_010, 70_011)), Ids(70_002, 70_020, (70_020,))


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A user's own place at what a method brings data to, which lies on a disk of the tests' in the end.

    Attributes
    ----------
    home
        Where that is.
    place
        Gives the place of a path.
    owner
        Whose the user's files are there; None for whoever runs the tests.
    """

    home: Path
    place: Callable[[str], Place]
    owner: Ids | None

    def put(self, path: str, content: bytes = b"precious", *, uid: int | None = None) -> Path:
        """Put a file there, by default the user's."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if self.owner is not None:
            os.chown(file.parent, self.owner.uid, self.owner.gid)
            os.chown(file, self.owner.uid if uid is None else uid, self.owner.gid)
        return file

    def read(self, path: str) -> bytes:
        return (self.home / path).read_bytes()

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.home / path)

    def may_write(self, path: str) -> bool:
        """Tell whether the user may write to a file."""
        status = (self.home / path).stat()
        is_owner = status.st_uid == (self.owner.uid if self.owner else os.geteuid())
        return bool(status.st_mode & (stat.S_IWUSR if is_owner else stat.S_IWOTH))

    def shown(self) -> list[str]:
        """Return all that is there, without the hidden folder that a notebook server makes."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("[!.]*"))

    def files(self) -> list[str]:
        return [path for path in self.shown() if not (self.home / path).is_dir() or (self.home / path).is_symlink()]

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Break it: the user may write nothing there."""
        mode = stat.S_IMODE(self.home.stat().st_mode)
        self.home.chmod(0o500)
        try:
            yield
        finally:
            self.home.chmod(mode)


@dataclass(frozen=True)
class Delivery:
    """What was delivered, as it is on record, and its manifest."""

    item: Item
    files: list[ManifestEntry]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A user stages by a method from a source area to their place at a peer."""

    method: str
    promise: Promise
    source: Path
    peer: Peer
    worker: Mover | Sender

    def item(self, source: str = "a.fits", destination: str = "data/a.fits") -> Item:
        return Item(
            source=locate(self.source, source, may_be_absolute=True),
            source_seen_at=self.source,
            destination=self.peer.place(destination),
            modes=MODES,
            on_conflict=OnConflict.SKIP_IDENTICAL,
            expected=Expected(),
            last_copy=None,
        )

    def begin(self, item: Item) -> None:
        self.worker.begin(self.method, {1: item})

    def do(self, step: str, refuse: Refuse = lambda _: {}, **watch: Any) -> StepDone:
        """Have a step of the item done that was begun; raise the error that came of it."""
        [(_, outcome)] = self.worker.do(step, {1: Watch(stopped=threading.Event(), **watch)}, refuse=refuse)
        if isinstance(outcome, StagingError):
            raise outcome
        return outcome

    def stage(self, item: Item, refuse: Refuse = lambda _: {}, **watch: Any) -> Published | None:
        """Do all four steps, as a flow does them; return None for a duplicate."""
        self.begin(item)
        try:
            self.do("check source")
            if self.do("check duplicate", **watch).is_duplicate:
                return None
            for step in ("transfer", "set read-only", "flush"):
                self.do(step, **watch)
            delivered = self.do("publish", refuse, **watch).delivered
            assert delivered is not None
            return delivered.published()
        finally:
            self.worker.end()

    def delivered(self, item: Item) -> Delivery:
        """Stage an item that is not there yet, and return its record."""
        files: list[ManifestEntry] = []
        published = self.stage(item, on_file=files.append)
        assert published is not None
        receipt = LastCopy(
            file_id=1,
            source_fingerprint=self.survey(item).fingerprint,
            destination_fingerprint=published.fingerprint,
            checksum=None,
        )
        return Delivery(replace(item, last_copy=receipt), files)

    def remove(self, delivery: Delivery, **watch: Any) -> bool:
        """Remove what was delivered."""
        self.begin(delivery.item)
        try:
            return self.do("remove", known=lambda: delivery.files, **watch).is_removed
        finally:
            self.worker.end()

    def survey(self, item: Item) -> Survey:
        self.begin(item)
        surveyed = self.do("check source").surveyed
        assert surveyed is not None
        return surveyed.survey()
