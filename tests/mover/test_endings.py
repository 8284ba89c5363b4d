"""However a mover ends, nothing half is left, and whoever waits for it is told."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from stager.errors import MoverLost
from stager.mover.replies import Done
from stager.paths import locate

if TYPE_CHECKING:
    from tests.mover.conftest import Closed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")


def test_a_mover_whose_service_is_gone_discards_what_it_was_at(closed: Closed) -> None:
    closed.mover.begin("local_copy", {1: closed.item("tree")})
    assert isinstance(closed.do("transfer"), Done)
    assert list(closed.home.iterdir()) != []
    closed.mover.close()
    assert list(closed.home.iterdir()) == []


def test_a_mover_that_is_killed_at_its_work_is_the_error_of_its_items(closed: Closed) -> None:
    closed.mover.begin("local_copy", {1: closed.item("tree")})
    assert isinstance(closed.do("transfer"), Done)
    signal.pidfd_send_signal(closed.mover.life.fd, signal.SIGKILL)
    assert isinstance(closed.do("publish"), MoverLost)
    assert closed.mover.is_lost


def test_more_folders_than_one_message_can_name_are_swept(closed: Closed) -> None:
    (closed.home / ".stager-left").touch()
    os.chown(closed.home / ".stager-left", closed.home.stat().st_uid, -1)
    deep = "/".join(["x" * 240] * 16)
    many = [locate(closed.home, f"{deep}/{number}") for number in range(5000)]
    own = locate(closed.home, "a").parent
    swept = closed.mover.sweep("local_copy", [*many, own])
    assert len(swept) == len(many) + 1
    assert swept[-1] == 1
