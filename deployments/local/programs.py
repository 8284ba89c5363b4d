"""The parts of the stack, and the supervisor's configuration that starts and stops them in order."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import tempfile
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from deployments import WORK_POOL
from deployments.local.settings import CHECKOUT, LocalSettings

# How parts start that let the HTTP service go first: a request is accepted at once, also while many are staged. nice(1)
BEHIND = ("nice", "-n", "10")
LONGEST_SOCKET_PATH = 90  # unix(7) allows 107 bytes, and supervisor appends its pid for a while


@dataclass(frozen=True)
class Program:
    """One part: started by ascending priority, stopped by descending."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int
    runs_once: bool = False
    health_url: str = ""


def programs(settings: LocalSettings) -> tuple[Program, ...]:
    """Return the parts, in the order in which they start."""
    python = (sys.executable, "-m")
    health = f"{settings.prefect_url}/api/health"
    prefect_server = (*BEHIND, *python, "deployments.local.prefect_server")
    prefect_is_up = (*python, "deployments.local.when_ready", health)
    worker = ("workers", "worker", "start", "--pool", WORK_POOL, "--type", "warm", "--name", "local")
    return (
        Program("prefect-server", prefect_server, 10, stop_seconds=10, health_url=health),
        Program("registration", (*prefect_is_up, "deployments.register"), 20, stop_seconds=5, runs_once=True),
        Program("worker", (*BEHIND, *prefect_is_up, *worker), 30, stop_seconds=30),
        Program("http-service", _granian(settings), 40, stop_seconds=15, health_url=f"{settings.service_url}/health"),
    )


def _granian(settings: LocalSettings) -> tuple[str, ...]:
    where = ("--host", settings.host, "--port", str(settings.port))
    what = ("--interface", "asgi", "--factory", "--http", "1", "--no-ws")
    how = ("--log-level", "warning", "--workers-kill-timeout", "10s")
    return (sys.executable, "-m", "granian", *what, *how, *where, "stager.service.app:create_app")


def log_of(settings: LocalSettings, program: str) -> Path:
    """Return where a part's output is kept."""
    return settings.logs / f"{program}.log"


def socket_of(settings: LocalSettings) -> Path:
    """Return the supervisor's socket: in the state folder, or where paths are short."""
    path = settings.state / "supervisor.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(settings.state)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"stager-{os.geteuid()}-{digest}.sock"


def write_configuration(settings: LocalSettings) -> Path:
    """Write the supervisor's configuration and return where it is.

    Notes
    -----
    http://supervisord.org/configuration.html. A percent sign would begin an
    expansion and is doubled. The parts' environment is the supervisor's own.
    """
    config = RawConfigParser()
    config["unix_http_server"] = {"file": str(socket_of(settings)), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(log_of(settings, "supervisord")),
        "childlogdir": str(settings.logs),
        "pidfile": str(settings.state / "supervisord.pid"),
        "directory": str(CHECKOUT),
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"  # else it complains that nobody was named
    for program in programs(settings):
        config[f"program:{program.name}"] = _section(program, log_of(settings, program.name))
    path = settings.state / "supervisord.conf"
    with path.open("w") as stream:
        _doubled_percents(config).write(stream)
    return path


def _section(program: Program, log: Path) -> dict[str, str]:
    return {
        "command": shlex.join(program.command),
        "priority": str(program.priority),
        "autorestart": "false" if program.runs_once else "true",
        "startsecs": "0" if program.runs_once else "1",
        "startretries": "5",
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(log),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "1",
    }


def _doubled_percents(config: RawConfigParser) -> RawConfigParser:
    for section in config.sections():
        for name, value in config[section].items():
            config[section][name] = value.replace("%", "%%")
    return config
