"""However a mover ends, nothing half is left, and whoever waits for it is told."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.errors import LeaseLost, MoverLost, StagingError
from stager.mover.answers import Watch
from stager.mover.process import PUBLISHED_AT_ONCE
from stager.mover.replies import StepDone
from stager.paths import Descriptor, locate
from tests.mover.conftest import STEPS

if TYPE_CHECKING:
    from tests.mover.conftest import Closed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")


def test_a_mover_whose_service_is_gone_discards_what_it_was_at(closed: Closed) -> None:
    closed.mover.begin("local_copy", {1: closed.item("tree")})
    assert isinstance(closed.do("transfer"), StepDone)
    assert list(closed.home.iterdir()) != []
    closed.mover.close()
    assert list(closed.home.iterdir()) == []


def test_a_mover_that_is_killed_at_its_work_is_the_error_of_its_items(closed: Closed) -> None:
    closed.mover.begin("local_copy", {1: closed.item("tree")})
    assert isinstance(closed.do("transfer"), StepDone)
    signal.pidfd_send_signal(closed.mover.life.fd, signal.SIGKILL)
    assert isinstance(closed.do("publish"), MoverLost)
    assert closed.mover.is_lost


def test_what_has_its_name_is_told_before_others_get_theirs(closed: Closed) -> None:
    def refuse(_: Collection[int]) -> dict[int, StagingError]:
        told_before.append(len(told))
        return {} if told else {1: LeaseLost("1")}

    items = {
        number: replace(closed.item("one.fits"), destination=locate(closed.home, str(number)))
        for number in range(PUBLISHED_AT_ONCE + 1)
    }
    watches = dict.fromkeys(items, Watch(stopped=threading.Event()))
    closed.mover.begin("local_copy", items)
    for step in STEPS[:-1]:
        assert len(list(closed.mover.do(step, watches))) == len(items)
    told: list[int] = []
    told_before: list[int] = []
    for item_id, _ in closed.mover.do("publish", watches, refuse=refuse):
        told.append(item_id)
    assert told_before == [0, PUBLISHED_AT_ONCE]


def test_more_folders_than_one_message_can_name_are_swept(closed: Closed) -> None:
    lock = closed.home / ".stager-0123456789abcdef.lock"
    lock.touch()
    os.chown(lock, closed.home.stat().st_uid, -1)
    deep = "/".join(["x" * 240] * 16)
    many = [locate(closed.home, f"{deep}/{number}") for number in range(5000)]
    own = locate(closed.home, "a").parent
    swept = closed.mover.sweep("local_copy", [*many, own])
    assert len(swept) == len(many) + 1
    assert swept[-1] == 1


def test_a_mover_that_was_stopped_ends_when_its_run_is_killed_while_the_worker_goes_on() -> None:
    command = [sys.executable, "-m", "tests.mover.killed_run"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        with suppress(ProcessLookupError), Descriptor(os.pidfd_open(int(worker.stdout.readline()))) as mover:
            poll = select.poll()
            poll.register(mover.fd, select.POLLIN)
            poll.poll()
        assert worker.poll() is None
        worker.stdin.close()
