"""Other processes help with large trees: the outcome is the same, whoever dies."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager import engine
from stager.errors import Cancelled
from stager.paths import Descriptor
from tests.open_folder import open_folder
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from tests.engine.conftest import Areas

CHECKOUT = str(Path(__file__).parents[2])
FOLDERS, FILES = 20, 150
READ_CALLS = ("0", "63")  # on x86-64 and on arm64
TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


@pytest.fixture
def tree(areas: Areas) -> Path:
    return make_tree(areas.source / "t")


def make_tree(top: Path) -> Path:
    """Make a tree of everything that a helper does, and of what it leaves."""
    for folder in range(FOLDERS):
        inner = top / f"{folder:02}/in"
        inner.mkdir(parents=True)
        for number in range(FILES):
            (inner / f"{number:03}").write_bytes(f"{folder} {number}".encode() * (number % 7))
        (inner / "077").unlink()
        (inner / "077").hardlink_to(inner / "003")
        (inner / "050-link").symlink_to("003")
    with (top / "00/in/sparse").open("wb") as file:
        file.truncate(3 << 20)
    (top / "01/in/large").write_bytes(b"x" * (2 << 20))
    (top / os.fsdecode(b"02/in/\xff")).write_bytes(b"not UTF-8")
    return top


def content(top: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(top)): (
            path.lstat().st_mtime_ns,
            path.lstat().st_nlink,
            b"" if path.is_dir() else path.read_bytes(),
        )
        for path in top.rglob("*")
    }


def children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # another test's thread, which has ended
            found += map(int, (task / "children").read_text().split())
    return found


class Watching:
    """Does something to the first helper that is seen, at a report of progress."""

    def __init__(self, act: Callable[[int], object]) -> None:
        self.acted = 0
        self._act = act
        self._before = set(children())

    def __call__(self, _bytes: int, _files: int) -> None:
        new = [pid for pid in children() if pid not in self._before]
        if new and not self.acted:
            self.acted = new[0]
            self._act(new[0])


def watched(report: Callable[[int, int], None]) -> engine.Control:
    return engine.Control(report, threading.Event(), 0.0)


@TWO_PROCESSORS
def test_what_several_processes_bring_is_what_one_brings(areas: Areas, tree: Path) -> None:
    helped = areas.stage("t", "helped", helped_from=1)
    manifest = areas.manifest.copy()
    areas.manifest.clear()
    alone = areas.stage("t", "alone", helped_from=1 << 30)
    assert manifest == areas.manifest
    assert (helped.checksum, helped.file_count, helped.size_bytes) == (
        alone.checksum,
        alone.file_count,
        alone.size_bytes,
    )
    assert content(areas.destination / "helped") == content(tree) == content(areas.destination / "alone")


@TWO_PROCESSORS
def test_what_several_processes_brought_has_the_fingerprint_that_was_returned(areas: Areas, tree: Path) -> None:
    for name in ("077", "003"):
        for folder in tree.iterdir():
            (folder / "in" / name).unlink()  # no links: it is not looked at again
    published = areas.stage("t", "t", helped_from=1)
    assert engine.fingerprint(areas.to("t")) == published.fingerprint


@pytest.fixture
def many_open() -> Iterator[None]:
    """So many descriptors that the next are beyond what select(2) takes."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    opened = [Descriptor(os.dup(2)) for _ in range(1024)]
    yield
    for one in opened:
        one.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@TWO_PROCESSORS
@pytest.mark.usefixtures("many_open")
def test_helpers_help_also_a_process_that_has_a_thousand_files_open(areas: Areas, tree: Path) -> None:
    areas.stage("t", "t", helped_from=1)
    assert content(areas.destination / "t") == content(tree)


@TWO_PROCESSORS
@pytest.mark.parametrize("at_once", [True, False], ids=["before it began", "in its work"])
def test_a_helper_that_dies_is_done_without(areas: Areas, tree: Path, *, at_once: bool) -> None:
    def kill(pid: int) -> None:
        if not at_once:
            wait_until(lambda: is_serving(pid))
        os.kill(pid, signal.SIGKILL)

    watching = Watching(kill)
    areas.stage("t", "t", helped_from=1, control=watched(watching))
    assert watching.acted
    assert content(areas.destination / "t") == content(tree)


class CancelledWhenStuck:
    """Stops a helper once it waits for orders, and cancels when nothing has moved for a second."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.stopping = Watching(self._stop)
        self._last = 0, 0.0

    @staticmethod
    def _stop(pid: int) -> None:
        wait_until(lambda: is_serving(pid))
        os.kill(pid, signal.SIGSTOP)

    def __call__(self, size_bytes: int, files: int) -> None:
        self.stopping(size_bytes, files)
        if files != self._last[0]:
            self._last = files, time.monotonic()
        elif time.monotonic() > self._last[1] + 1.0:
            self.cancelled.set()


@TWO_PROCESSORS
@pytest.mark.usefixtures("tree")
def test_a_cancel_is_noticed_while_a_helper_hangs_and_leaves_nothing(areas: Areas) -> None:
    stuck = CancelledWhenStuck()
    with pytest.raises(Cancelled):
        areas.bring("t", "t", helped_from=1, control=engine.Control(stuck, stuck.cancelled, 0.0))
    assert areas.leftovers() == []
    assert not Path(f"/proc/{stuck.stopping.acted}").exists()


STAGE = """
import sys, threading, time
from pathlib import Path
from stager import engine
from stager.errors import Cancelled
from stager.paths import locate
source, destination = locate(Path(sys.argv[1]), "t"), locate(Path(sys.argv[2]), "t")
def report(_bytes, files):
    if files:
        print("copying", flush=True)
        time.sleep(600)
control = engine.Control(report, threading.Event(), 0.0)
from tests.modes import MODES as mine
engine.transfer(source, destination, survey=engine.survey(source), modes=mine, control=control, helped_from=1)
"""


@TWO_PROCESSORS
@pytest.mark.usefixtures("tree")
def test_a_helper_holds_the_lock_and_dies_with_its_owner(areas: Areas) -> None:
    command = [sys.executable, "-c", STAGE, str(areas.source), str(areas.destination)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": CHECKOUT}) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"copying\n"
        helper = int(Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()[0])
        wait_until(lambda: is_serving(helper))
        held = [str(link.readlink()) for link in Path(f"/proc/{helper}/fd").iterdir()]
        environment = Path(f"/proc/{helper}/environ").read_bytes()
        owner.kill()
    wait_until(lambda: is_gone(helper))
    assert environment == b""
    assert [name for name in held if name.endswith("lock")]
    assert engine.sweep(areas.to("t").parent) == 1
    assert areas.leftovers() == []


ALONE = """
import sys, threading
from pathlib import Path
from stager import engine
from stager.paths import locate
from stager.privileges import Ids, become
source, destination = locate(Path(sys.argv[1]), "t"), locate(Path(sys.argv[2]), "t")
def report(_bytes, _files):
    print(*[(task / "children").read_text() for task in Path("/proc/self/task").iterdir()], flush=True)
if sys.argv[3] == "become":
    become(Ids(65534, 65534, ()))
control = engine.Control(report, threading.Event(), 0.0)
from tests.modes import MODES as mine
engine.transfer(source, destination, survey=engine.survey(source), modes=mine, control=control, helped_from=1)
"""


@TWO_PROCESSORS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(("how", "are_seen"), [("stay", True), ("become", False)])
def test_a_process_that_became_its_user_works_alone(how: str, *, are_seen: bool) -> None:
    with open_folder() as top:
        make_tree(top / "source/t")
        (top / "user").mkdir(mode=0o777)
        (top / "user").chmod(0o777)
        command = [sys.executable, "-c", ALONE, str(top / "source"), str(top / "user"), how]
        seen = subprocess.run(command, env={"PYTHONPATH": CHECKOUT}, capture_output=True, text=True, check=True)
    assert bool(seen.stdout.split()) is are_seen


def is_serving(pid: int) -> bool:
    """Tell whether a helper waits for orders: in read(2) from its standard input, proc_pid_syscall(5)."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()
    return call[0] in READ_CALLS and call[1] == "0x0"


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, also where nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
