"""A server that answers as no server should: for each kind of call, what a test has it say."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1
from typing import Any

from tests.peers.listener import Listener, body_bytes, head_of

Say = Callable[["OddCall"], None]


class OddCall:
    """A call that has come whole, and the connection on which it is answered."""

    def __init__(self, head: bytes, connection: socket.socket, ended: threading.Event) -> None:
        self.head = head
        self.connection = connection
        self.ended = ended

    def send_without_end(self, piece: bytes, pause: float = 0) -> None:
        while not self.ended.wait(pause):
            self.connection.sendall(piece)


def says(said: object, status: str = "200 OK", header: str = "") -> Say:
    """Answer with JSON, or with bytes that are called so."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{header}"
    return lambda call: call.connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)


def hangs_up(_: OddCall) -> None:
    """Answer nothing."""


def is_kernel(reply: dict[str, Any], before: str = "") -> Say:
    """Be a kernel that answers what it is asked with a reply, after a message that is none."""

    def say(call: OddCall) -> None:
        found = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", call.head)
        assert found
        accepted = b64encode(sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        call.connection.sendall(head + b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
        asked = json.loads(_frame(call.connection))["header"]
        header = {"msg_type": "execute_reply"}
        message = {"header": header, "parent_header": {"msg_id": asked["msg_id"]}, "content": reply}
        for text in filter(None, [before, json.dumps(message)]):
            call.connection.sendall(b"\x81\x7f" + struct.pack(">Q", len(text)) + text.encode())
        call.connection.recv(1 << 10)  # that it closes

    return say


def _frame(connection: socket.socket) -> bytes:
    """Return a client's frame that is 126 to 65535 bytes long (RFC 6455, section 5.2)."""
    with connection.makefile("rb") as frames:
        (length,) = struct.unpack(">H", frames.read(4)[2:])
        mask, masked = frames.read(4), frames.read(length)
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))


class OddServer(Listener):
    """Answers each call by the first pattern that its first line matches, one call a connection."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Say] = {}
        self.heads: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.port}/"

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = head_of(connection)
            if body_bytes(head):
                connection.recv(body_bytes(head), socket.MSG_WAITALL)
            self.heads.append(head)
            for pattern, say in self.answers.items():
                if re.match(pattern.encode(), head):
                    say(OddCall(head, connection, self.ended))
                    return
