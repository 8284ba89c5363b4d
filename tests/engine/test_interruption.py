"""An exception that a signal raises may come at any instruction: nothing is left, or all is there.

Left on the disk, that is: a descriptor may be lost until the process ends.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

import stager

if TYPE_CHECKING:
    from tests.engine.conftest import Areas

OURS = str(Path(stager.__path__[0]))
# Cleaning up is not interrupted: by then one exception has come already, or the work is done.
CLEANING = {"discard", "withdraw", "__del__", "close", "_remove_replaced"}
STRIDE = 97  # instructions from one to the next


class Stop(BaseException):
    """What a signal handler raises: Prefect's TerminationSignal, KeyboardInterrupt."""


class Interruption:
    """Raises `Stop` before one instruction of ours, counted from the first."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.came = False

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(OURS) or frame.f_code.co_name in CLEANING:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode" and not self.came and not _is_cleaning(frame):
            self.left -= 1
            if self.left <= 0:
                self.came = True
                raise Stop
        return self._step


def _is_cleaning(frame: FrameType | None) -> bool:
    while frame and frame.f_code.co_filename.startswith(OURS):
        if frame.f_code.co_name in CLEANING:
            return True
        frame = frame.f_back
    return False


@contextmanager
def tracing(interruption: Interruption) -> Iterator[None]:
    before = sys.gettrace()
    if frame := inspect.currentframe():
        frame.f_trace_opcodes = True  # Python 3.12 looks for one that wants them when tracing begins
    sys.settrace(interruption)
    try:
        yield
    finally:
        sys.settrace(before)


def put_nothing(_folder: Path) -> None:
    """Let the destination be empty."""


def put_older(folder: Path) -> None:
    folder.mkdir()
    (folder / "product").write_bytes(b"older")


def make_file(source: Path) -> None:
    source.write_bytes(b"newer")


def make_tree(source: Path) -> None:
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"newer")
    (source / "again").hardlink_to(source / "sub/file")
    (source / "link").symlink_to("sub")


def state(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() if path.is_file() else b"" for path in sorted(top.rglob("*"))}


def is_stopped(areas: Areas, at: int, *, replace: bool) -> bool:
    """Stage into a folder of its own; False when it came to its end before the instruction."""
    opened = areas.descriptors()
    try:
        with tracing(Interruption(at)):
            areas.stage("product", f"{at}/product", replace=replace)
    except Stop:
        return True
    finally:
        gc.collect()
        for lost in areas.descriptors() - opened:  # between open(2) and its result's first name
            os.close(lost)
    return False


# Between scandir(3) and its result's first name it loses a descriptor, which Python tells.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <posix.ScandirIterator:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.any_python
@pytest.mark.parametrize("put", [put_nothing, put_older])
@pytest.mark.parametrize("make", [make_file, make_tree])
def test_an_exception_at_any_instruction_leaves_nothing_or_the_whole(
    areas: Areas, make: Callable[[Path], None], put: Callable[[Path], None]
) -> None:
    make(areas.source / "product")
    put(areas.source.parent / "before")
    put(areas.destination / "0")
    areas.stage("product", "0/product", replace=True)
    before, after = state(areas.source.parent / "before"), state(areas.destination / "0")
    at, ended = 1, False
    while not ended:
        put(areas.destination / str(at))
        ended = not is_stopped(areas, at, replace=put is put_older)
        assert state(areas.destination / str(at)) in ([after] if ended else [before, after]), at
        assert ended or before or state(areas.destination / str(at)) or not (areas.destination / str(at)).exists()
        at += STRIDE
    assert at > 1000
