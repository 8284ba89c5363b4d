"""Programs in processes that have imported already what takes seconds, as the warm worker's have.

Each has its own environment, and Prefect's settings from that. What changes
something of ours before that is imported has the libraries alone; what is to
be seen from its first instruction starts from scratch instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.forkserver import ForkServer
from pathlib import Path
from runpy import run_module
from typing import Self

from deployments.local.orphans import end_with_parent

LIBRARIES, ALL = "tests.preloaded_libraries", "tests.preloaded"
_servers: dict[str, ForkServer] = {}


class Forked:
    """A program in a process of its own; of ``subprocess.Popen`` it has what the tests use.

    Parameters
    ----------
    program
        Python's text, or the name of a module that is run as ``python -m`` does.
    log
        Where what it writes is added to; without one, `communicate` gives it.
    cwd
        What it works in, if not where the tests are.
    preloaded
        The module of what is imported already.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path | None = None,
        cwd: Path | None = None,
        preloaded: str = ALL,
    ) -> None:
        if preloaded not in _servers:
            _servers[preloaded] = ForkServer()
            _servers[preloaded].set_forkserver_preload([preloaded])
        forkserver.connect_to_new_process = _servers[preloaded].connect_to_new_process
        context = multiprocessing.get_context("forkserver")
        self._folder = None if log else tempfile.TemporaryDirectory()
        self._output = [log or Path(str(self._folder and self._folder.name), name) for name in ("stdout", "stderr")]
        self._process = context.Process(target=_execute, args=(program, arguments, dict(env), self._output, cwd))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it has written, once it has ended."""
        self.wait(timeout)
        out, log = (path.read_text() for path in self._output)
        return out, log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.join()
        if self._folder:
            self._folder.cleanup()


def _execute(
    program: str, arguments: Sequence[str], env: dict[str, str], output: Sequence[Path], cwd: Path | None
) -> None:
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415 - what asked for it need not have it
    from prefect.logging.configuration import setup_logging  # noqa: PLC0415

    end_with_parent()  # which ends with the tests
    multiprocessing.set_start_method("fork", force=True)  # as where it starts from scratch
    os.environ.clear()
    os.environ.update(env)
    for number, path in enumerate(output, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    if cwd:
        os.chdir(cwd)
    sys.path[:0] = env.get("PYTHONPATH", "").split(os.pathsep)
    refresh_global_settings_context()
    is_module = program.replace(".", "").isidentifier()
    sys.argv = [program if is_module else "-c", *arguments]
    try:
        if is_module:
            run_module(program, run_name="__main__", alter_sys=True)
        else:
            setup_logging()
            exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - a process of multiprocessing's ends without them
