"""The running stack: started, watched until it is ready, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import httpx

from deployments import WORK_POOL
from deployments.local.cannot_start import CannotStart
from deployments.local.orphans import adopt_orphans, end_orphans, end_with_parent, reap_orphans
from deployments.local.programs import SOCKET, Program, log_of, programs, write_configuration
from deployments.local.settings import LocalSettings, stack_environment
from deployments.local.supervisor_client import ProgramStatus, reports
from deployments.local.when_ready import answers

POLL_SECONDS = 0.1
START_SECONDS = 180.0
LOG_LINES = 15


class Stack:
    """A supervisor with the service's parts under it."""

    def __init__(
        self, settings: LocalSettings, auth_string: str, supervisor: subprocess.Popen[bytes], client: httpx.Client
    ) -> None:
        self._settings = settings
        self._client, self._prefect_auth = client, httpx.BasicAuth(*auth_string.split(":", 1))
        self._supervisor = supervisor
        self._socket = Path(f"/proc/{supervisor.pid}/cwd") / SOCKET
        self._started_at = time.time()
        self._pids: dict[str, int] = {}

    def wait_until_ready(self) -> None:
        """Wait until every part is ready for work.

        Raises
        ------
        CannotStart
            A part ended, or is not ready after three minutes.
        """
        deadline = time.monotonic() + START_SECONDS
        waiting = list(programs(self._settings))
        while waiting:
            seen = reports(self._socket)
            for program in programs(self._settings):
                self._check(program, seen.get(program.name), is_late=time.monotonic() > deadline)
            waiting = [program for program in waiting if not self._is_ready(program, seen.get(program.name))]
            time.sleep(POLL_SECONDS)

    def _check(self, program: Program, report: ProgramStatus | None, *, is_late: bool) -> None:
        if self._supervisor.poll() is not None:
            raise CannotStart(_with_log(self._settings, "supervisord", "The supervisor ended by itself"))
        if is_late:
            raise CannotStart(
                _with_log(self._settings, program.name, f"{program.name} is not ready after {START_SECONDS:.0f} s")
            )
        if report is None or report.is_done or (report.is_running and self._is_first(report)):
            return
        if report.state == "STOPPED":  # not yet its turn
            return
        raise CannotStart(_with_log(self._settings, program.name, f"{program.name} did not start"))

    def _is_first(self, report: ProgramStatus) -> bool:
        return not report.pid or self._pids.setdefault(report.name, report.pid) == report.pid

    def _is_ready(self, program: Program, report: ProgramStatus | None) -> bool:
        if report is None:
            return False
        if program.runs_once:
            return report.is_done
        if report.state != "RUNNING":
            return False
        if program.name == "worker":
            return self._is_worker_online()
        return answers(self._client, program.health_url)

    def _is_worker_online(self) -> bool:
        """Whether a worker has polled since we started; one of a former start may still be shown."""
        url = f"{self._settings.prefect_url}/api/work_pools/{WORK_POOL}/workers/filter"
        with suppress(httpx.HTTPError):
            found = self._client.post(url, json={}, auth=self._prefect_auth).raise_for_status().json()
            return any(_seconds(worker["last_heartbeat_time"]) > self._started_at for worker in found)
        return False

    def wait(self) -> None:
        """Wait until the supervisor has ended; print which parts it had to start again."""
        while self._supervisor.poll() is None:
            for report in reports(self._socket).values():
                self._tell_of_restart(report)
            reap_orphans(but=self._supervisor.pid)
            with suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(2)

    def _tell_of_restart(self, report: ProgramStatus) -> None:
        if report.pid and self._pids.get(report.name, report.pid) != report.pid:
            print(f"{report.name} ended and was started again; see {log_of(self._settings, report.name)}", flush=True)
            self._pids[report.name] = report.pid


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _with_log(settings: LocalSettings, program: str, sentence: str) -> str:
    log = log_of(settings, program)
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    return "\n".join([f"{sentence}. The end of {log}:", *(f"    {line}" for line in lines)])


@contextmanager
def started(settings: LocalSettings, auth_string: str, own: Mapping[str, str]) -> Iterator[Stack]:
    """Start all parts and yield the stack; at the end, stop all parts in reverse order.

    Parameters
    ----------
    own
        Variables of this installation's own, for every part.
    """
    configuration = write_configuration(settings)
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", configuration]
    adopt_orphans()
    supervisor = subprocess.Popen(  # noqa: S603 - our own Python
        command,
        cwd=settings.state,
        env={**stack_environment(settings, auth_string), **own},
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches us only, and we stop it in order
        preexec_fn=end_with_parent,  # noqa: PLW1509 - no thread runs yet
    )
    try:
        with httpx.Client(timeout=5) as client:
            yield Stack(settings, auth_string, supervisor, client)
    finally:
        _stop(supervisor)


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # being stopped already; a second Ctrl-C would leave parts behind
    with suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGTERM)
    supervisor.wait()
    end_orphans()
