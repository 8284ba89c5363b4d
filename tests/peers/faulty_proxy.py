"""A proxy between a client and a hub or an object store, which breaks chosen calls in a chosen way.

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
from typing import Self

import httpx

from tests.peers.listener import Listener, body_bytes, head_of

BLOCK = 16 << 10
_EXPECTS = re.compile(rb"(?i)\r\nexpect: 100-continue")
PHASES = {
    "change": r"(POST|PUT|PATCH|DELETE) ",
    "look": r"GET \S*/hub/api/users/[^/ ]+ ",
    "start": r"POST \S*/server ",
    "progress": r"GET \S*/progress ",
    "token": r"POST \S*/tokens ",
    "look at files": r"GET \S*/api/contents/\S*\?content=0 ",
    "list": r"GET \S*/api/contents/\S*\?content=1",
    "chunk": r"PUT \S*/api/contents/",
    "piece": r"(?is)PUT \S*/api/contents/.*content-length: *\d{3,}",
    "hash": r"GET \S*/api/contents/\S*hash=1",
    "rename": r"PATCH \S*/api/contents/",
    "removal": r"DELETE \S*/api/contents/",
    "kernelspecs": r"GET \S*/api/kernelspecs ",
    "new kernel": r"POST \S*/api/kernels ",
    "kernel": r"GET \S*/api/kernels/[^/ ]+/channels",
    "object": r"PUT [^? ]+ ",
    "look at object": r"HEAD ",
    "content": r"GET /[^/? ]+/[^? ]+ ",
    "objects": r"GET \S*list-type=2",
    "deletion": r"DELETE [^? ]+ ",
    "upload": r"POST \S*\?uploads ",
    "part": r"PUT \S*partNumber=",
    "completion": r"POST \S*uploadId=",
    "abort": r"DELETE \S*uploadId=",
    "tags": r"PUT \S*\?tagging",
}


@dataclass(frozen=True)
class Call:
    """A call on its way: its head, the sockets at its two ends, and whether the proxy has ended."""

    head: bytes
    client: socket.socket
    server: socket.socket
    ended: threading.Event


Fault = Callable[[Call], None]


@dataclass
class _Order:
    """Break so many calls of a phase, after some that are spared."""

    phase: str
    fault: Fault
    spared: int
    left: int

    def is_for(self, head: bytes) -> bool:
        """Tell whether this call is to be broken, and count it."""
        if not self.left or not re.match(PHASES[self.phase].encode(), head):
            return False
        if self.spared:
            self.spared -= 1
            return False
        self.left -= 1
        return True


def passed(call: Call) -> None:
    """Let a call through."""
    call.server.sendall(call.head)
    if _is_websocket(call.head):
        threading.Thread(target=_carry, args=(call.client, call.server, None), daemon=True).start()
    else:
        _carry(call.client, call.server, body_bytes(call.head))
    _carry(call.server, call.client, None)
    with suppress(OSError):
        call.client.shutdown(socket.SHUT_RDWR)  # closed alone, it would last until the other thread has read from it


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


def done_and_then(act: Callable[[], None]) -> Fault:
    """Return a fault: the call is done, then something else, and there is no answer."""

    def fault(call: Call) -> None:
        call.server.sendall(call.head)
        _carry(call.client, call.server, body_bytes(call.head))
        call.server.recv(BLOCK) if _is_websocket(call.head) else _received(call.server)
        act()

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
        self._orders: list[_Order] = []
        self.faults_done = 0

    @classmethod
    def before(cls, url: str) -> Self:
        """Return one that hands calls on to the server of an address."""
        there = httpx.URL(url)
        return cls(there.host, there.port or 80)

    def in_front_of(self, url: str) -> str:
        """Return an address by which what it hands calls on to is reached through it."""
        return str(httpx.URL(url).copy_with(port=self.port))

    def break_calls(self, phase: str, fault: Fault, *, spared: int = 0, times: int = 1) -> None:
        """Break so many calls of a phase from now on, after some that are spared, and no others."""
        with self._lock:
            self._orders = []
        self.break_calls_too(phase, fault, spared=spared, times=times)

    def break_calls_too(self, phase: str, fault: Fault, *, spared: int = 0, times: int = 1) -> None:
        """Break such calls beside those that were to be broken before."""
        with self._lock:
            self._orders.append(_Order(phase, fault, spared, times))

    @property
    def phases_left(self) -> set[str]:
        """Phases of which calls are to be broken still."""
        with self._lock:
            return {order.phase for order in self._orders if order.left}

    def _serve(self, connection: socket.socket) -> None:
        with connection as client, suppress(OSError), socket.create_connection(self._target) as server:
            head = head_of(client)
            if _EXPECTS.search(head):  # else the client waits before it sends what it has
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if head:
                self._fault_for(head)(Call(_for_one_call(head), client, server, self.ended))

    def _fault_for(self, head: bytes) -> Fault:
        with self._lock:
            for order in self._orders:
                if order.is_for(head):
                    self.faults_done += 1
                    return order.fault
            return passed


def _is_websocket(head: bytes) -> bool:
    return b"upgrade: websocket" in head.lower()


def _for_one_call(head: bytes) -> bytes:
    """Return the head so that the server ends the connection after its answer."""
    if _is_websocket(head):
        return head
    return re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", _EXPECTS.sub(b"", head))[:-2] + b"Connection: close\r\n\r\n"
