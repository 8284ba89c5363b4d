"""Two areas on a real disk, and one call that stages from the first to the second."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stager import engine
from stager.errors import StagingError
from stager.paths import Location, locate
from stager.vocabulary import ManifestEntry
from tests.modes import MODES


def nothing(*_: object) -> None:
    """Do nothing."""


def none(_: Collection[int]) -> dict[int, StagingError]:
    """Refuse nothing."""
    return {}


def publish(staged: engine.Staged, *, replace: bool = False, refuse: engine.Refuse = none) -> engine.Published:
    """Publish one product, or raise why it was not."""
    outcome = engine.publish({1: engine.Publication(staged=staged, replace=replace)}, refuse=refuse)[1]
    if isinstance(outcome, StagingError):
        raise outcome
    return outcome


def quiet() -> engine.Control:
    return engine.Control(nothing, threading.Event())


@dataclass
class Areas:
    """A source area and a user area."""

    source: Path
    destination: Path
    manifest: list[ManifestEntry] = field(default_factory=list)

    def at(self, name: str) -> Location:
        return locate(self.source, name)

    def to(self, name: str) -> Location:
        return locate(self.destination, name)

    def bring(self, source: str, destination: str, **options: Any) -> engine.Staged:
        survey = options.pop("survey", None) or engine.survey(self.at(source))
        return engine.transfer(
            self.at(source),
            self.to(destination),
            survey=survey,
            **{"modes": MODES, "control": quiet(), "on_file": self.manifest.append, **options},
        )

    def stage(
        self,
        source: str,
        destination: str,
        *,
        replace: bool = False,
        refuse: engine.Refuse = none,
        **options: Any,
    ) -> engine.Published:
        staged = self.bring(source, destination, **options)
        return finish(staged, replace=replace, refuse=refuse)

    def leftovers(self) -> list[str]:
        return sorted(
            os.path.relpath(Path(folder) / name, self.destination)
            for folder, directories, files in os.walk(self.destination)
            for name in directories + files
        )

    @staticmethod
    def descriptors() -> set[int]:
        """Return those of files, directories and pipes: the engine opens no socket, servers of other tests do."""
        return {int(link.name) for link in Path("/proc/self/fd").iterdir() if _target(link).startswith(("/", "pipe:"))}


def finish(staged: engine.Staged, *, replace: bool = False, refuse: engine.Refuse = none) -> engine.Published:
    try:
        engine.seal(staged)
        engine.flush([staged])
        return publish(staged, replace=replace, refuse=refuse)
    finally:
        engine.discard(staged)


@pytest.fixture
def areas(tmp_path: Path) -> Iterator[Areas]:
    made = Areas(tmp_path / "source", tmp_path / "user")
    made.source.mkdir()
    made.destination.mkdir()
    gc.collect()  # an error's traceback may hold what it met
    before = made.descriptors()
    yield made
    gc.collect()
    assert made.descriptors() == before
    writable(tmp_path)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # of the listing itself
        return ""


def writable(top: Path) -> None:
    """Let pytest remove what is read-only, also when it is not root."""
    for folder, _, _ in os.walk(top):
        Path(folder).chmod(0o700)
