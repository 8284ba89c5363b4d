"""Checks of what can keep the stack from starting, made before anything starts."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from contextlib import closing
from pathlib import Path

from deployments.local.cannot_start import CannotStart
from deployments.local.hub import is_installed
from deployments.local.port_holder import port_holder
from deployments.local.settings import LocalSettings
from deployments.local.state import close_state, enterable, take_over

NEEDED_BYTES = 512 * 1024 * 1024


def prepare(settings: LocalSettings) -> list[str]:
    """Check that the stack can start, and make its folders; return what was changed of an older installation.

    Raises
    ------
    CannotStart
        A folder cannot be written or is not ours alone, the disk is nearly
        full or a port is in use.
    """
    folders = {
        settings.folder: "STAGER_STATE_DIR",
        settings.storage: "SOURCE_STORAGE_PATH",
        settings.user_areas: "TARGET_STORAGE_PATH",
    }
    for folder, variable in folders.items():
        _check_folder(folder, variable)
    _check_port("127.0.0.1", settings.prefect_port, "PREFECT_SERVER_API_PORT")
    _check_port(settings.host, settings.port, "STAGER_PORT")
    if settings.hub:
        _check_hub(settings)
    done = [*close_state(settings), *take_over(settings)]
    settings.logs.mkdir(exist_ok=True)
    return done


def _check_hub(settings: LocalSettings) -> None:
    if not is_installed():
        message = "JupyterHub is not installed in .run: `make up HUB=1` does that"
        raise CannotStart(message)
    for port in settings.hub_ports:
        _check_port("127.0.0.1", port, "STAGER_HUB_PORT")


def _check_folder(folder: Path, variable: str) -> None:
    try:
        with enterable():
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"Cannot write to {folder} ({error.strerror}): choose another folder with {variable}=..."
        raise CannotStart(message) from error
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        message = (
            f"The disk of {folder} is nearly full: {free // 2**20} MiB are free, {NEEDED_BYTES // 2**20} MiB "
            f"are needed. Make room, or choose another folder with {variable}=..."
        )
        raise CannotStart(message)


def _check_port(host: str, port: int, variable: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise CannotStart(_port_sentence(port, variable, error)) from error


def _port_sentence(port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use by {port_holder(port)}: stop it, or choose another with {variable}={port + 1}."
    return f"Cannot listen on port {port} ({error.strerror}): choose another with {variable}=..."
