"""What listens on a port of this machine, with a thread for each connection."""

from __future__ import annotations

import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self


class Listener(ABC):
    """Serves one call a connection while it is running; ``ended`` is set then."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    @contextmanager
    def running(self) -> Iterator[Self]:
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self.ended.set()
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @abstractmethod
    def _serve(self, connection: socket.socket) -> None:
        """Serve a call, and close the connection."""


def head_of(connection: socket.socket) -> bytes:
    """Return a call's first line and headers, of which none of the body has been read; empty where it ends before."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        head += byte
    return bytes(head)


def body_bytes(head: bytes) -> int:
    """Return the size of the body that a call says it has."""
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0
