"""Messages between the service and a mover: JSON, a line each, with descriptors, over a socket that only the two hold.

Neither side believes the other's lines to be well formed: the mover is its
user's. What is no message ends the connection.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from stager.paths import Descriptor

Message = dict[str, Any]

_as_json = json.JSONEncoder(separators=(",", ":")).encode
_READ_BYTES = 1 << 16
_LONGEST_BYTES = 16 << 20  # of a line: 256 items of the longest paths, escaped
_POSTED_BYTES = 1 << 16  # that are queued before they are sent
_MOST_DESCRIPTORS = 64  # that come with one line


class ConnectionLost(Exception):
    """The other side has gone, or sent an invalid message; the text, if there is one, says so."""


NO_MESSAGE = "sent an invalid message"


class Channel:
    """One end of the connection between the service and a mover.

    Parameters
    ----------
    end
        A connected socket of the kernel's own (unix(7), SOCK_STREAM).
    patience
        How long a message may take to be taken by the other side, in seconds; None for ever.
    """

    def __init__(self, end: socket.socket, *, patience: float | None = None) -> None:
        self._socket = end
        self._socket.settimeout(patience)
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._sending = threading.Lock()
        self._posted = bytearray()
        self._lines: deque[bytes] = deque()
        self._rest = bytearray()
        self._descriptors: deque[Descriptor] = deque()
        self.sent_at = time.monotonic()

    def post(self, message: Message) -> None:
        """Queue a message; it is sent with the next one, or once there are many."""
        with self._sending:
            self._posted += _line(message)
            if len(self._posted) >= _POSTED_BYTES:
                self._flush()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message, after those that were queued.

        Raises
        ------
        ConnectionLost
            Nobody takes it.
        """
        with self._sending:
            if descriptors:
                self._flush()
            self._posted += _line(message)
            self._flush(descriptors)

    def _flush(self, descriptors: Sequence[int] = ()) -> None:
        data, self._posted = self._posted, bytearray()
        self.sent_at = time.monotonic()
        try:
            sent = socket.send_fds(self._socket, [data], list(descriptors)) if descriptors else 0
            self._socket.sendall(memoryview(data)[sent:])
        except OSError as error:
            raise ConnectionLost from error

    def receive(self, seconds: float | None) -> Message | None:
        """Return the next message; None when there is none within some seconds.

        Raises
        ------
        ConnectionLost
            There will be none any more.
        """
        line = self.receive_line(seconds)
        return None if line is None else message_of(line)

    def receive_line(self, seconds: float | None) -> bytes | None:
        """Return the next message as it came, in JSON; as `receive` does."""
        if self._lines:
            return self._lines.popleft()
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._lines:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._poll.poll(None if left is None else left * 1000):
                return None
            self._take()
        return self._lines.popleft()

    def _take(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MOST_DESCRIPTORS)
        except OSError as error:
            raise ConnectionLost from error
        self._descriptors += [Descriptor(one) for one in descriptors]
        if not data:
            raise ConnectionLost
        *lines, rest = data.split(b"\n")
        if lines:
            self._lines += [bytes(self._rest) + lines[0], *lines[1:]]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > _LONGEST_BYTES or len(self._descriptors) > _MOST_DESCRIPTORS:
            raise ConnectionLost(NO_MESSAGE)

    def descriptors(self, count: int) -> list[Descriptor]:
        """Return the descriptors that came with a message.

        Raises
        ------
        ConnectionLost
            There are not as many.
        """
        if count > len(self._descriptors):
            raise ConnectionLost(NO_MESSAGE)
        return [self._descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _line(message: Message) -> bytes:
    return _as_json(message).encode("ascii") + b"\n"


def message_of(line: bytes) -> Message:
    """Return the message that a line is; raise `ConnectionLost` if it is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConnectionLost(NO_MESSAGE) from error
    if not isinstance(message, dict):
        raise ConnectionLost(NO_MESSAGE)
    return message
