"""Connections on which no answer takes for ever."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from stager.errors import Cancelled, PeerStalled

# For how many times the longest silence an answer may take, from the last byte sent to its own last.
ANSWER_STALLS = 4
# How much is sent at a time, in bytes.
WRITE_BYTES = 16 << 10
# How often it is checked whether an answer is still wanted, in seconds.
CHECK_SECONDS = 0.5
_CHECK: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)


@contextmanager
def checked_while_waiting(check: Callable[[], None]) -> Iterator[None]:
    """Call something again and again while this thread waits for an answer; what it raises ends the waiting."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_on() -> None:
    """Call what this thread's waiting is checked by, where something waits that is no answer."""
    _CHECK.get()()


@contextmanager
def left_once(is_left: Callable[[], bool]) -> Iterator[None]:
    """End what this thread waits for once, as soon as it is left: what then cleans up is waited for.

    Raises
    ------
    Cancelled
        It is left.
    """
    check_before, was_told = _CHECK.get(), False

    def check() -> None:
        nonlocal was_told
        check_before()
        if is_left() and not was_told:
            was_told = True
            raise Cancelled

    with checked_while_waiting(check):
        yield


@contextmanager
def given_up_after(seconds: float, peer: str) -> Iterator[None]:
    """Wait for no answer any more in this thread after some time.

    Raises
    ------
    PeerStalled
        An answer is waited for, and the time is over.
    """
    check_before, deadline = _CHECK.get(), time.monotonic() + seconds

    def check() -> None:
        check_before()
        if time.monotonic() > deadline:
            raise PeerStalled(peer, f"all that was asked of it was not done within {seconds:g} s")

    with checked_while_waiting(check):
        yield


class AnswerWithoutEndError(Exception):
    """An answer comes, bit by bit, and does not come to an end."""


class Connection(httpcore.NetworkStream):
    """A connection whose other side may not answer for ever, whatever it answers with, nor take for ever what is sent.

    httpcore bounds each read and each write alone: headers that come a byte at a time, or one
    ``103 Early Hints`` after another, would be waited for without end.

    Attributes
    ----------
    answers_until
        By ``time.monotonic``, until when the answer is waited for that comes now; None before its first byte is.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self.answers_until: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what comes next.

        Raises
        ------
        AnswerWithoutEndError
            The time for the whole answer is over.
        """
        if timeout is None:
            return self._stream.read(max_bytes)
        if self.answers_until is None:
            self.answers_until = time.monotonic() + ANSWER_STALLS * timeout
        silent_until = time.monotonic() + timeout
        while True:
            _CHECK.get()()
            moment = time.monotonic()
            if moment >= self.answers_until:
                raise AnswerWithoutEndError
            if moment >= silent_until:
                raise httpcore.ReadTimeout
            with suppress(httpcore.ReadTimeout):
                left = min(silent_until, self.answers_until) - moment
                return self._stream.read(max_bytes, min(left, CHECK_SECONDS))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send something, after which another answer is waited for.

        Raises
        ------
        httpcore.WriteTimeout
            Nothing of it is taken for some time, or not all in a multiple of that.
        """
        self.answers_until = None
        taken_until = time.monotonic() + ANSWER_STALLS * (timeout or math.inf)
        for start in range(0, len(buffer), WRITE_BYTES):
            _CHECK.get()()
            if time.monotonic() >= taken_until:
                raise httpcore.WriteTimeout
            self._stream.write(buffer[start : start + WRITE_BYTES], timeout)

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the same connection, encrypted."""
        return Connection(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as httpcore has it
        """Return what httpcore asks about it."""
        return self._stream.get_extra_info(info)


class _Connections(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return Connection(super().connect_tcp(host, port, timeout, local_address, socket_options))


class Transport(httpx.HTTPTransport):
    """Carries httpx's calls over such connections, directly: a proxy that the environment names is not used."""

    def __init__(self, trust: ssl.SSLContext, *, keepalive_seconds: float) -> None:
        # Instead of what httpx makes here: it has no parameter for httpcore's ``network_backend``.
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust,
            max_connections=None,
            keepalive_expiry=keepalive_seconds,
            network_backend=_Connections(),
        )
