"""The standard library's fork server, as a fork of this process instead of a new process."""

from __future__ import annotations

import os
import socket
from multiprocessing import forkserver
from multiprocessing.connection import arbitrary_address  # type: ignore[attr-defined] # not in its stubs


def fork_the_fork_server() -> None:
    """Make a fork of this process the fork server of ``multiprocessing``.

    Call it before there is a second thread. Should it die, the standard
    library starts another in its usual way.

    Notes
    -----
    CPython, Lib/multiprocessing/forkserver.py: ``ForkServer.ensure_running``
    does this with a fresh interpreter, which would import everything again.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        address = arbitrary_address("AF_UNIX")
        listener.bind(address)
        listener.listen()
        alive_reader, alive_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive_writer)
            _serve(listener.detach(), alive_reader)
        os.close(alive_reader)
    vars(forkserver._forkserver).update(  # noqa: SLF001 - where ensure_running keeps what it started
        _forkserver_address=address, _forkserver_alive_fd=alive_writer, _forkserver_pid=pid
    )


def _serve(listener: int, alive: int) -> None:
    """Fork on request until the worker is gone; never returns."""
    os.setpgrp()  # a signal to the worker's group is not for what must outlive it a moment
    try:
        forkserver.main(listener, alive, [])
    finally:
        os._exit(0)
