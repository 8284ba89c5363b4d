"""What a killed worker had is known to the next one, once; what a living one has is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

from workers.run_register import RunRegister

HOLDS = """
import sys, uuid
from pathlib import Path
from workers.run_register import RunRegister
with RunRegister(Path(sys.argv[1])) as register:
    for number in sys.argv[2:]:
        register.add(uuid.UUID(number))
    print("written", flush=True)
    sys.stdin.read()
"""


def orphans(place: Path) -> set[UUID]:
    with RunRegister(place) as register:
        return {number for numbers in register.orphans() for number in numbers}


def test_what_a_killed_worker_had_is_known_to_the_next_once(tmp_path: Path) -> None:
    runs = {uuid4() for _ in range(3)}
    command = [sys.executable, "-c", HOLDS, str(tmp_path), *map(str, runs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        assert orphans(tmp_path) == set()
        holder.kill()
    assert orphans(tmp_path) == runs
    assert orphans(tmp_path) == set()


def test_what_could_not_be_reported_is_told_again(tmp_path: Path) -> None:
    run = uuid4()
    with RunRegister(tmp_path) as left:
        left.add(run)
    with RunRegister(tmp_path) as register:
        assert next(register.orphans()) == [run]  # and no further: the report failed
    assert orphans(tmp_path) == {run}


def test_a_run_that_the_next_worker_has_taken_up_is_told_from_one_that_is_lost(tmp_path: Path) -> None:
    lost, taken = uuid4(), uuid4()
    with RunRegister(tmp_path) as left:
        left.add(lost)
        left.add(taken)
    with RunRegister(tmp_path) as register:
        for runs in register.orphans():
            register.add(taken)
            assert {run: register.is_taken_up_again(run) for run in runs} == {lost: False, taken: True}


def test_a_worker_that_ends_in_order_leaves_nothing(tmp_path: Path) -> None:
    run = uuid4()
    with RunRegister(tmp_path) as register:
        register.add(run)
        register.remove(run)
    assert list(tmp_path.iterdir()) == []
