"""A proxy between a client and a hub, which breaks chosen calls in a chosen way.

Each connection carries one call. Whatever is not chosen goes through unchanged.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.peers.listener import Listener, body_bytes, head_of

BLOCK = 16 << 10
PHASES = {
    "look": r"GET \S*/hub/api/users/[^/ ]+ ",
    "start": r"POST \S*/server ",
    "progress": r"GET \S*/progress ",
    "chunk": r"PUT \S*/api/contents/",
    "piece": r"(?is)PUT \S*/api/contents/.*content-length: *\d{3,}",
    "hash": r"GET \S*/api/contents/\S*hash=1",
    "rename": r"PATCH \S*/api/contents/",
    "kernel": r"GET \S*/api/kernels/[^/ ]+/channels",
}


@dataclass(frozen=True)
class Call:
    """A call on its way: its head, the sockets at its two ends, and whether the proxy has ended."""

    head: bytes
    client: socket.socket
    server: socket.socket
    ended: threading.Event


Fault = Callable[[Call], None]


def passed(call: Call) -> None:
    """Let a call through."""
    call.server.sendall(call.head)
    if b"upgrade: websocket" in call.head.lower():
        threading.Thread(target=_carry, args=(call.client, call.server, None), daemon=True).start()
    else:
        _carry(call.client, call.server, body_bytes(call.head))
    _carry(call.server, call.client, None)


def cut_on_the_way_in(after: int) -> Fault:
    """Return a fault: the connection ends after so many bytes of the call's body."""

    def fault(call: Call) -> None:
        call.server.sendall(call.head)
        _carry(call.client, call.server, min(after, body_bytes(call.head)))

    return fault


def cut_on_the_way_back(after: int) -> Fault:
    """Return a fault: the call is done, and the connection ends after so many bytes of the answer."""

    def fault(call: Call) -> None:
        call.server.sendall(call.head)
        _carry(call.client, call.server, body_bytes(call.head))
        answer = _received(call.server)
        call.client.sendall(answer[:after])

    return fault


def reset(call: Call) -> None:
    """Reset the connection (RST) before anything is done."""
    call.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(call: Call) -> None:
    """Take everything and say nothing, until the client has gone."""
    _carry(call.client, None, None)


def slow(call: Call) -> None:
    """Take a kilobyte of the body a second, and say nothing."""
    while not call.ended.wait(1) and call.client.recv(1 << 10):
        pass


def answered(status: str, body: bytes, media_type: str = "text/html", header: str = "") -> Fault:
    """Return a fault: somebody on the way answers, and the call comes no further."""

    def fault(call: Call) -> None:
        _carry(call.client, None, body_bytes(call.head))
        head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{header}"
        call.client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    return fault


def endless(call: Call) -> None:
    """Answer without end, as fast as it is taken."""
    call.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not call.ended.is_set():
        call.client.sendall(b" " * BLOCK)


def dripping(call: Call) -> None:
    """Answer without end, a byte at a time."""
    call.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not call.ended.wait(0.05):
        call.client.sendall(b" ")


def _carry(source: socket.socket, to: socket.socket | None, count: int | None) -> None:
    """Carry so many bytes, or all until one side ends."""
    with suppress(OSError):
        while count is None or count > 0:
            piece = source.recv(BLOCK if count is None else min(BLOCK, count))
            if not piece:
                return
            if to is not None:
                to.sendall(piece)
            count = None if count is None else count - len(piece)


def _received(server: socket.socket) -> bytes:
    answer = bytearray()
    while piece := server.recv(BLOCK):
        answer += piece
    return bytes(answer)


class FaultyProxy(Listener):
    """Hands calls on to a host and port, and breaks those that it is told to."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._target = host, port
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)  # else the kernel takes megabytes
        self._lock = threading.Lock()
        self._pattern: str | None = None
        self._fault: Fault = passed
        self._spared = 0
        self._left = 0
        self.faults_done = 0

    def break_calls(self, phase: str, fault: Fault, *, spared: int = 0, times: int = 1) -> None:
        """Break so many calls of a phase from now on, after some that are spared."""
        with self._lock:
            self._pattern, self._fault = PHASES[phase], fault
            self._spared, self._left = spared, times

    def _serve(self, connection: socket.socket) -> None:
        with connection as client, suppress(OSError), socket.create_connection(self._target) as server:
            head = head_of(client)
            if head:
                self._fault_for(head)(Call(_for_one_call(head), client, server, self.ended))

    def _fault_for(self, head: bytes) -> Fault:
        with self._lock:
            if not self._left or not self._pattern or not re.match(self._pattern.encode(), head):
                return passed
            if self._spared:
                self._spared -= 1
                return passed
            self._left -= 1
            self.faults_done += 1
            return self._fault


def _for_one_call(head: bytes) -> bytes:
    """Return the head so that the server ends the connection after its answer."""
    if b"upgrade: websocket" in head.lower():
        return head
    return re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)[:-2] + b"Connection: close\r\n\r\n"
