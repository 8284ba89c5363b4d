"""The parts of the stack, and the supervisor's configuration that starts and stops them in order."""

from __future__ import annotations

import os
import shlex
import sys
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path

from deployments import WORK_POOL
from deployments.local.settings import LocalSettings

# Prefix of parts that yield to the HTTP service, so that it accepts requests at once while many are staged: nice(1)
BEHIND = ("nice", "-n", "10")
SOCKET = "supervisor.sock"


@dataclass(frozen=True)
class Program:
    """One part of the stack; parts start by ascending priority, and stop by descending."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int
    runs_once: bool = False
    health_url: str = ""


def programs(settings: LocalSettings) -> tuple[Program, ...]:
    """Return the parts, in the order in which they start."""
    python = (Path(sys.executable).name, "-m")  # first on the parts' path
    health = f"{settings.prefect_url}/api/health"
    prefect_server = (*BEHIND, *python, "deployments.prefect_server")
    prefect_is_up = (*python, "deployments.local.when_ready", health)
    worker = ("workers", "worker", "start", "--pool", WORK_POOL, "--type", "warm", "--name", "local")
    hub = Program("hub", (*python, "deployments.local.hub"), 5, 20, health_url=f"{settings.hub_url}/hub/api/")
    return (
        *((hub,) if settings.hub else ()),
        Program("prefect-server", prefect_server, 10, stop_seconds=10, health_url=health),
        Program("registration", (*prefect_is_up, "deployments.register"), 20, stop_seconds=5, runs_once=True),
        Program("worker", (*BEHIND, *prefect_is_up, *worker), 30, stop_seconds=30),
        Program("http-service", _granian(settings), 40, stop_seconds=15, health_url=f"{settings.service_url}/health"),
    )


def _granian(settings: LocalSettings) -> tuple[str, ...]:
    where = ("--host", settings.host, "--port", str(settings.port))
    what = ("--interface", "asgi", "--factory", "--http", "1", "--no-ws")
    how = ("--log-level", "warning", "--workers-kill-timeout", "10s")
    return (Path(sys.executable).name, "-m", "granian", *what, *how, *where, "deployments.local.service:create_app")


def log_of(settings: LocalSettings, program: str) -> Path:
    """Return where a part's output is kept."""
    return settings.state / _log(program)


def write_configuration(settings: LocalSettings) -> str:
    """Write the configuration of a supervisor that runs in the state folder, and return the file's name in it.

    Notes
    -----
    http://supervisord.org/configuration.html. No folder is named: ``%``,
    ``;`` and ``#`` mean something there, and a socket's address may have 107
    bytes (unix(7)). The parts' environment is the supervisor's own.
    """
    config = RawConfigParser()
    config["unix_http_server"] = {"file": f"/proc/self/cwd/{SOCKET}", "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _log("supervisord"),
        "childlogdir": "logs",
        "pidfile": "supervisord.pid",
    }
    if os.geteuid() == 0:
        config["supervisord"]["user"] = "root"  # else it complains that nobody was named
    for program in programs(settings):
        config[f"program:{program.name}"] = _section(program)
    with (settings.state / "supervisord.conf").open("w") as stream:
        config.write(stream)
    return "supervisord.conf"


def _log(program: str) -> str:
    return f"logs/{program}.log"


def _section(program: Program) -> dict[str, str]:
    return {
        "command": shlex.join(program.command).replace("%", "%%"),  # else the beginning of an expansion
        "directory": "%(ENV_PWD)s",
        "priority": str(program.priority),
        "autorestart": "false" if program.runs_once else "true",
        "startsecs": "0" if program.runs_once else "1",
        "startretries": "5",
        "stopwaitsecs": str(program.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _log(program.name),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "1",
    }
