"""Bytes from files to the server's connection through a pipe, without a copy in Python.

The server is told to send the file that our end of a pipe is. We splice(2)
runs of files into the other end: their pages go over by reference. So a part
of a file, or many, is sent at the speed of a whole one; how far it is can be
read off the pipe; and what a slow client leaves unread are pages of the cache.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from termios import FIONREAD

from stager.downloads.pieces import FileRun, Piece, size_of
from stager.errors import SourceChanged, source_error
from stager.paths import Descriptor

_SET_PIPE_SIZE = 1031  # fcntl(2), F_SETPIPE_SZ
_FAST_BYTES, _SLOW_BYTES = 256 * 1024, 64 * 1024
# A client that took so many bytes without a stall keeps up: it is more than a connection's buffers hold.
_KEPT_UP_BYTES = 4 * 1024 * 1024
# How long a thread waits for a client, and works for it before another client has its turn, in seconds.
CLIENT_SECONDS, TURN_SECONDS = 0.02, 0.2
# How long the server may take for the first bytes, in seconds: it takes them at once, unless its client is gone.
FIRST_BYTES_SECONDS = 60.0


class PumpOutcome(Enum):
    """The outcome of one turn of pumping."""

    DONE = auto()
    STALLED = auto()
    TURN_OVER = auto()
    ABANDONED = auto()


class BodyPipe:
    """A body that is moved into a pipe, from which the server sends it.

    Parameters
    ----------
    pieces
        The body; they are asked for in a thread.
    """

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._rest: Piece | None = None
        outlet, inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._outlet, self._inlet = Descriptor(outlet), Descriptor(inlet)
        self._fed = 0
        self._size_bytes = _SLOW_BYTES  # as pipe(7) has it
        self._stalled_at = 0
        self._first_at = 0.0

    @property
    def path(self) -> str:
        """The pipe's read end, as a path that this process can open."""
        return f"/proc/self/fd/{self._outlet.fd}"

    @property
    def inlet(self) -> int:
        """The descriptor of the pipe's write end, to wait for."""
        return self._inlet.fd

    @property
    def bytes_taken(self) -> int:
        """How many bytes the server has taken."""
        return self._fed - self._waiting()

    @property
    def is_drained(self) -> bool:
        """Whether the server has taken all that was moved."""
        return not self._waiting()

    @property
    def is_abandoned(self) -> bool:
        """Whether the server has closed its end: the client is gone, or never took a byte."""
        self._let_go()
        inlet = select.poll()
        inlet.register(self._inlet.fd, 0)
        is_late = self._fed and self._outlet.fd >= 0 and time.monotonic() > self._first_at + FIRST_BYTES_SECONDS
        return bool(is_late or inlet.poll(0))

    def has_begun(self) -> bool:
        """Move the first bytes; return whether that was done before the turn was over.

        Raises
        ------
        StagingError
            The source failed or changed.
        """
        turn_ends = time.monotonic() + TURN_SECONDS
        while not self._fed and (self._rest or self._take()):
            if time.monotonic() > turn_ends:
                return False
            self._move()
        return True

    def pump(self) -> PumpOutcome:
        """Move bytes until the client is too slow, the turn is over or all are moved.

        Raises
        ------
        StagingError
            The source failed or changed.
        """
        turn_ends = time.monotonic() + TURN_SECONDS
        inlet = select.poll()
        inlet.register(self._inlet.fd, select.POLLOUT)
        while self._rest or self._take():
            try:
                self._move()
            except BlockingIOError:
                self._let_go()
                if not inlet.poll(CLIENT_SECONDS * 1000):
                    self._stalled_at = self._fed
                    return PumpOutcome.STALLED
            except BrokenPipeError:
                return PumpOutcome.ABANDONED
            if self._fed - self._stalled_at >= _KEPT_UP_BYTES:
                self._resize(_FAST_BYTES)
            if time.monotonic() > turn_ends:
                return PumpOutcome.TURN_OVER
        return PumpOutcome.DONE

    def shrink(self) -> bool:
        """Make a slow client's pipe small again; return whether it is, which fails while the pipe holds more."""
        return self._resize(_SLOW_BYTES)

    def discard(self) -> None:
        """Remove from the pipe what the server has not taken, so that the client gets no more."""
        rest = Descriptor(os.open(f"/proc/self/fd/{self._inlet.fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        with rest, suppress(BlockingIOError):
            while block := os.read(rest.fd, _FAST_BYTES):
                self._fed -= len(block)

    def close(self) -> None:
        """Close the pipe and the files; the client sees by its length that a body was cut short."""
        self._inlet.close()
        self._outlet.close()
        with suppress(ValueError):  # a thread is in it still: its end closes what it holds
            self._pieces.close()  # type: ignore[attr-defined] # a generator has it

    def _take(self) -> bool:
        """Take the next piece, which may be empty; return whether there was one."""
        self._rest = next(self._pieces, None)
        return self._rest is not None

    def _move(self) -> None:
        piece, moved = self._rest, 0
        if not piece or not size_of(piece):
            self._rest = None
        elif isinstance(piece, bytes):
            moved = os.write(self._inlet.fd, piece)
            self._rest = piece[moved:]
        else:
            moved = self._splice(piece)
            left = piece.size_bytes - moved
            self._rest = FileRun(piece.fd, piece.offset + moved, left, piece.display) if left else None
        if moved and not self._fed:
            self._first_at = time.monotonic()
        self._fed += moved

    def _splice(self, run: FileRun) -> int:
        flags = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MORE
        try:
            moved = os.splice(run.fd, self._inlet.fd, run.size_bytes, offset_src=run.offset, flags=flags)
        except (BlockingIOError, BrokenPipeError):
            raise
        except OSError as error:
            raise source_error(error, run.display) from error
        if not moved:
            raise SourceChanged(run.display, "it is shorter than it was")
        return moved

    def _resize(self, size_bytes: int) -> bool:
        """Resize the pipe and return whether that was possible; else it stays as it is."""
        if size_bytes == self._size_bytes:
            return True
        try:
            fcntl.fcntl(self._inlet.fd, _SET_PIPE_SIZE, size_bytes)
        except OSError as error:
            # EPERM: the user's share of pipes is used up (pipe(7)). EBUSY: it holds more.
            if error.errno not in (errno.EPERM, errno.EBUSY):
                raise
            return False
        self._size_bytes = size_bytes
        return True

    def _let_go(self) -> None:
        """Close our copy of the read end once the server has its own: its end then tells of the client."""
        if self._outlet.fd >= 0 and self.bytes_taken:
            self._outlet.close()

    def _waiting(self) -> int:
        waiting = array.array("i", [0])
        fcntl.ioctl(self._inlet.fd, FIONREAD, waiting)
        return waiting[0]
