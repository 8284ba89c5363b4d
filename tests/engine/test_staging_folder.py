"""What is staged in one folder at a time shares a lock: it is there before the first of it and goes after the last."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager import engine
from stager.engine.staging_folder import LOCK_SUFFIX
from stager.errors import DestinationTampered
from stager.paths import folders_kept
from tests.engine.conftest import finish, none

if TYPE_CHECKING:
    from tests.engine.conftest import Areas

CHECKOUT = str(Path(__file__).parents[2])
NAMES = ("a", "b", "c")
# Stages three files, publishes the first, makes a further temporary name, and waits to be killed.
KILLED = """
import sys, threading
from pathlib import Path
from stager import engine
from stager.paths import locate
source, destination = map(Path, sys.argv[1:])
modes = engine.Modes(file=0o400, directory=0o500, folder=0o700)
def bring(name):
    found = engine.survey(locate(source, name))
    control = engine.Control(lambda *_: None, threading.Event())
    return engine.transfer(locate(source, name), locate(destination, name), survey=found, modes=modes, control=control)
staged = {name: bring(name) for name in "ab"}
engine.seal(staged["a"])
engine.publish({1: engine.Publication(staged=staged["a"], replace=False)}, refuse=lambda _: {})
staged["c"] = bring("c")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def sources(areas: Areas) -> None:
    for name in NAMES:
        (areas.source / name).write_bytes(name.encode())


def locks(areas: Areas) -> list[str]:
    return [name for name in areas.leftovers() if name.endswith(os.fsdecode(LOCK_SUFFIX))]


def test_products_of_one_folder_share_a_lock_that_goes_with_the_last_of_them(areas: Areas) -> None:
    first, second, third = (areas.bring(name, name) for name in NAMES)
    assert len(locks(areas)) == 1
    assert len(areas.leftovers()) == 4
    finish(first)
    engine.discard(second)
    assert len(locks(areas)) == 1
    again = areas.bring("b", "b")
    assert len(locks(areas)) == 1
    assert engine.sweep(areas.to("a").parent) == 0
    finish(third)
    finish(again)
    assert areas.leftovers() == [*NAMES]


def test_another_folder_has_its_own(areas: Areas) -> None:
    here, there = areas.bring("a", "a"), areas.bring("b", "folder/b")
    assert [os.path.dirname(lock) for lock in locks(areas)] == ["", "folder"]  # noqa: PTH120 - a relative one
    for staged in (here, there):
        engine.discard(staged)
    assert areas.leftovers() == []


def test_what_a_killed_owner_left_of_several_is_swept(areas: Areas) -> None:
    command = [sys.executable, "-c", KILLED, str(areas.source), str(areas.destination)]
    environment = {**os.environ, "PYTHONPATH": CHECKOUT}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        assert engine.sweep(areas.to("a").parent) == 0
        owner.kill()
    assert engine.sweep(areas.to("a").parent) == 2
    assert areas.leftovers() == ["a"]


def test_a_folder_that_is_exchanged_is_found_out_for_all_that_is_in_it(areas: Areas) -> None:
    (areas.destination / "folder").mkdir()
    staged = {number: areas.bring(name, f"folder/{name}") for number, name in enumerate(NAMES)}
    other = areas.bring("a", "a")
    for one in (*staged.values(), other):
        engine.seal(one)
    (areas.destination / "folder").rename(areas.destination / "moved")
    (areas.destination / "folder").mkdir()
    products = {number: engine.Publication(staged=one, replace=False) for number, one in {**staged, 9: other}.items()}
    outcomes = engine.publish(products, refuse=none)
    for one in staged.values():
        engine.discard(one)
    assert {type(outcomes[number]) for number in staged} == {DestinationTampered}
    assert [f"folder/{name}:" in str(outcomes[number]) for number, name in enumerate(NAMES)] == [True, True, True]
    assert isinstance(outcomes[9], engine.Published)
    assert areas.leftovers() == ["a", "folder", "moved"]


def test_what_cannot_be_discarded_of_several_keeps_the_lock_for_the_sweep(areas: Areas) -> None:
    first, second = areas.bring("a", "a"), areas.bring("b", "b")
    temporary = areas.destination / os.fsdecode(first.name)
    temporary.rename(areas.destination / "taken")
    temporary.mkdir()
    engine.discard(first)
    finish(second)
    assert len(locks(areas)) == 1
    assert engine.sweep(areas.to("a").parent) == 1
    assert areas.leftovers() == ["b", "taken"]


@pytest.mark.parametrize("kept", [folders_kept, nullcontext])
@pytest.mark.parametrize("is_moved", [True, False])
def test_a_folder_that_its_owner_moves_or_removes_meanwhile_is_made_anew_for_the_next(
    areas: Areas, kept: Callable[[], AbstractContextManager[None]], *, is_moved: bool
) -> None:
    with kept():
        first = areas.bring("a", "folder/a")
        if is_moved:
            (areas.destination / "folder").rename(areas.destination / "moved")
        else:
            shutil.rmtree(areas.destination / "folder")
        second = areas.bring("b", "folder/b")
    finish(second)
    engine.discard(first)
    assert areas.leftovers() == ["folder", "folder/b", *(["moved"] * is_moved)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to somebody else")
def test_what_cannot_be_removed_keeps_nothing_else_from_being_swept(areas: Areas) -> None:
    beginning = ".stager-0123456789abcdef"
    (areas.destination / f"{beginning}.names-lock").touch(0o600)
    names = [f"{beginning}-{number:016x}" for number in range(20)]
    for name in names:
        (areas.destination / name).touch()
    os.chown(areas.destination / names[7], 70_001, -1)
    assert engine.sweep(areas.to("a").parent) == len(names) - 1
    assert areas.leftovers() == [names[7], f"{beginning}.names-lock"]
    os.chown(areas.destination / names[7], os.geteuid(), -1)
    assert engine.sweep(areas.to("a").parent) == 1
    assert areas.leftovers() == []


def test_more_dead_locks_than_are_held_at_once_are_swept_those_of_former_versions_too(areas: Areas) -> None:
    for number in range(300):
        for suffix, rest in ((".names-lock", f"-{number:016x}"), (".lock", "")):
            (areas.destination / f".stager-{number:016x}{suffix}").touch(0o600)
            (areas.destination / f".stager-{number:016x}{rest}").touch()
    assert engine.sweep(areas.to("a").parent) == 600
    assert areas.leftovers() == []
    assert len(areas.descriptors()) < 256
