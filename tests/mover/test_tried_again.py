"""A step that could not be recorded is done again, and is not taken for one that was to be left."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from stager.errors import DatabaseUnavailable
from stager.mover.answers import Watch
from stager.mover.dialogue import FILES_IN_A_MESSAGE
from stager.mover.replies import StepDone

if TYPE_CHECKING:
    from stager.mover.mover import Mover
    from stager.vocabulary import ManifestEntry
    from tests.mover.conftest import Closed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")


def transfer(mover: Mover, watch: Watch) -> StepDone | Exception:
    [(_, outcome)] = mover.do("transfer", {1: watch})
    return outcome


def test_an_item_whose_manifest_could_not_be_recorded_is_transferred_at_the_next_try(closed: Closed) -> None:
    for number in range(FILES_IN_A_MESSAGE + 1):
        (closed.storage / f"tree/{number:04}").touch(0o600)

    def refused(_: ManifestEntry) -> None:
        reason = "it restarts"
        raise DatabaseUnavailable(reason)

    closed.mover.begin("local_copy", {1: closed.item("tree")})
    assert isinstance(closed.do("check source"), StepDone)
    assert isinstance(closed.do("check duplicate"), StepDone)
    files: list[ManifestEntry] = []
    first = transfer(closed.mover, Watch(stopped=threading.Event(), on_file=refused))
    second = transfer(closed.mover, Watch(stopped=threading.Event(), on_file=files.append))
    closed.mover.end()
    assert isinstance(first, DatabaseUnavailable)
    assert isinstance(second, StepDone), second
    assert len(files) == FILES_IN_A_MESSAGE + 4
