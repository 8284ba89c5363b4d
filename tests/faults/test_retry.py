"""Killed at any call, onto whatever is there, and started again: the end is the same as undisturbed."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.conftest import Facts, Stager, facts

# Neither changes a file nor waits: the interpreter's own, and never twice the same.
_OF_THE_INTERPRETER = (
    "mmap,munmap,mremap,mprotect,brk,madvise,futex,rt_sigtimedwait,rt_sigaction,rt_sigprocmask,getrandom,exit_group"
)
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
CHANGING = {"openat", "pwrite64", "utimensat", "flock", "renameat2", "unlinkat", "close"}

Kill = tuple[str, int]


def make_file(area: Path) -> None:
    (area / "product").write_bytes(b"data" * 1000)


def make_tree(area: Path) -> None:
    (area / "product/inner").mkdir(parents=True)
    for name in ("a", "inner/b", "inner/c"):
        (area / "product" / name).write_bytes(name.encode() * 1000)
    (area / "product/again").hardlink_to(area / "product/a")
    (area / "product/link").symlink_to("inner/b")


def make_several(area: Path) -> None:
    make_file(area)
    (area / "second/inner").mkdir(parents=True)
    (area / "second/inner/a").write_bytes(b"inner")
    (area / "third").write_bytes(b"third")


def put_older(area: Path) -> None:
    (area / "p").write_bytes(b"older")


def put_older_tree(area: Path) -> None:
    (area / "p/old").mkdir(parents=True)
    (area / "p/old/a").write_bytes(b"older")


def make_larger_tree(area: Path) -> None:
    """Make folders that are worth a slice each: two for the helper, the others for its owner."""
    for folder in "abcd":
        (area / "product" / folder).mkdir(parents=True)
        for number in range(10):
            (area / "product" / folder / str(number)).write_bytes(folder.encode() * 1000)


@dataclass(frozen=True)
class Case:
    """What is staged where, onto what."""

    make: Callable[[Path], None]
    destination: str
    before: Callable[[Path], None] | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    helped_from: int = 2000


CASES = {
    "file in new folders": Case(make_file, "deep/er/p"),
    "tree in a new folder": Case(make_tree, "deep/p"),
    "replaced file": Case(make_file, "p", put_older),
    "replaced tree": Case(make_tree, "p", put_older_tree),
    "batch of items": Case(make_several, "deep/p", more={"second": "deep/er/q", "third": "deep/r"}),
}


class Staging:
    """One pair of areas that is staged into, killed and staged into again."""

    def __init__(self, folder: Path, case: Case) -> None:
        self.source, self.destination = folder / "source", folder / "user"
        for area in (self.source, self.destination):
            area.mkdir(parents=True)
        case.make(self.source)
        if case.before:
            case.before(self.destination)
        self.order = {
            "source_area": str(self.source),
            "destination_area": str(self.destination),
            "source": "product",
            "destination": case.destination,
            "more": {**case.more},
            "replace": case.before is not None,
            "helped_from": case.helped_from,
        }
        self.source_facts = facts(self.source)

    def calls(self, stager: Stager, log: Path) -> list[Kill]:
        """Return every call of an undisturbed staging, as strace counts them."""
        assert stager.stage(self.order, "-o", str(log), "-e", f"trace=!{_OF_THE_INTERPRETER}").error is None
        counted: Counter[str] = Counter()
        found = []
        for name in _CALL.findall(log.read_text()):
            counted[name] += 1
            found.append((name, counted[name]))
        return found

    def end(self) -> Facts:
        """Return what the destination holds, without the times, which differ from run to run."""
        return {name: (*fact[:3], fact[-1]) for name, fact in facts(self.destination).items()}


def kill_and_retry(stager: Stager, staging: Staging, kill: Kill, *, end: Facts) -> None:
    name, occurrence = kill
    trace = ("-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={occurrence}")
    assert stager.stage(staging.order, *trace).signal == signal.SIGKILL, kill
    retry = stager.stage(staging.order)
    assert (retry.signal, retry.error) == (0, None), kill
    assert staging.end() == end, kill
    assert facts(staging.source) == staging.source_facts, kill


def kill_at_each(kills: list[Kill], folder: Path, *, case: Case, end: Facts) -> None:
    with Stager() as stager:
        for number, kill in enumerate(kills):
            kill_and_retry(stager, Staging(folder / str(number), case), kill, end=end)
            shutil.rmtree(folder / str(number))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_killed_at_any_call_and_retried_it_ends_right(stager: Stager, folder: Path, case: Case) -> None:
    undisturbed = Staging(folder / "undisturbed", case)
    kills = undisturbed.calls(stager, folder / "log")
    end = undisturbed.end()
    assert {fact[1] for name, fact in end.items() if name != "."} == {os.geteuid()}
    assert not [name for name in end if ".stager-" in name]
    assert {name for name, _ in kills} >= CHANGING
    with ThreadPoolExecutor(2) as pool:
        shares = [pool.submit(kill_at_each, kills[n::2], folder / f"share{n}", case=case, end=end) for n in range(2)]
        for share in shares:
            share.result()


HELPED = Case(make_larger_tree, "deep/p", helped_from=1)
STRIDE = 17  # calls from one kill to the next
# How slowly the owner makes the first folder, in microseconds, so that a helper is there before there is work to hand
# out: the first that lets it come.
DELAYS = (500_000, 2_000_000, 8_000_000)
WORK = {"openat", "pwrite64", "utimensat"}


def slowly(delay: int) -> tuple[str, str]:
    return "-e", f"inject=mkdirat:delay_exit={delay}:when=3"


def calls_while_helped(log: Path) -> tuple[list[Kill], list[Kill]]:
    """Return a helper's calls once it serves, and its owner's from its start to its end; each counted by itself."""
    counted: Counter[tuple[str, str]] = Counter()
    found: dict[str, list[Kill]] = {}
    for process, name in re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE):
        counted[process, name] += 1
        found.setdefault(process, []).append((name, counted[process, name]))
    owner, helper = found.values()
    return helper[helper.index(("prctl", 1)) :], owner[owner.index(("vfork", 1)) : owner.index(("kill", 1)) + 2]


def helped(stager: Stager, folder: Path) -> tuple[int, list[Kill], Facts]:
    """Return with which delay a helper worked, the calls of it and its owner to kill one at, and the end of it all."""
    log = folder / "log"
    for delay in DELAYS:
        staging = Staging(folder / str(delay), HELPED)
        trace = ("-o", str(log), "-e", f"trace=!{_OF_THE_INTERPRETER}")
        assert stager.stage(staging.order, *trace, *slowly(delay)).error is None
        with suppress(ValueError):  # it came too late
            helper, owner = calls_while_helped(log)
            if {name for name, _ in helper} >= WORK:
                return delay, [*helper[::STRIDE], *owner[::STRIDE]], staging.end()
    pytest.fail("no helper did anything")


def kill_one(stager: Stager, staging: Staging, kill: Kill, *, delay: int, end: Facts) -> bool:
    """Kill whoever comes to a call, owner, helper or both; return whether the owner lived."""
    name, occurrence = kill
    delayed = () if name == "mkdirat" else slowly(delay)
    trace = ("-o", "/dev/null", "-e", f"trace={name},mkdirat", "-e", f"inject={name}:signal=KILL:when={occurrence}")
    outcome = stager.stage(staging.order, *trace, *delayed)
    lived = outcome.signal != signal.SIGKILL
    if not lived:
        outcome = stager.stage(staging.order)
    assert (outcome.signal, outcome.error) == (0, None), kill
    assert staging.end() == end, kill
    assert facts(staging.source) == staging.source_facts, kill
    return lived


def kill_each(kills: list[Kill], folder: Path, *, delay: int, end: Facts) -> Counter[bool]:
    lived: Counter[bool] = Counter()
    with Stager() as stager:
        for number, kill in enumerate(kills):
            lived[kill_one(stager, Staging(folder / str(number), HELPED), kill, delay=delay, end=end)] += 1
            shutil.rmtree(folder / str(number))
    return lived


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_when_a_helper_or_its_owner_is_killed_at_a_call_it_ends_right(stager: Stager, folder: Path) -> None:
    delay, kills, end = helped(stager, folder)
    with ThreadPoolExecutor(2) as pool:
        shares = [pool.submit(kill_each, kills[n::2], folder / f"share{n}", delay=delay, end=end) for n in range(2)]
        lived = sum((share.result() for share in shares), Counter())
    assert lived[True]
    assert lived[False]
