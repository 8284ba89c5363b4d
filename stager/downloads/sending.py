"""Sending a body to a client, and recording it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stager.background import background_task
from stager.checksums import ADLER32, text
from stager.downloads.answer import Body, headers_of
from stager.downloads.pieces import FileRun, Piece, SummedPieces
from stager.downloads.pipe import FIRST_BYTES_SECONDS, BodyPipe, PumpOutcome
from stager.downloads.representation import FileRepresentation, Representation
from stager.downloads.shared import Downloads, P, T
from stager.errors import Cancelled, StagingError, UnforeseenError
from stager.records.downloads import DownloadBegun, DownloadEnded, DownloadProgress

PATHSEND = "http.response.pathsend"
# Seconds between two polls of whether the server has emptied a pipe: at first, and at most.
FIRST_LOOK, LONGEST_LOOK = 0.001, 0.5
# Where the server takes no pipe, bytes are read and sent in blocks of this size.
BLOCK_BYTES = 64 * 1024


@dataclass(eq=False)
class Sending:
    """One answer and its progress; ``summed`` is its body where the checksum is computed on the way."""

    downloads: Downloads
    begun: DownloadBegun
    whole: Representation
    body: Body
    summed: SummedPieces | None = None
    bytes_sent: int = 0
    is_to_stop: bool = False
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def begins_late(self) -> bool:
        """Whether all before the first byte must be produced first, as for a part of an archive."""
        return self.whole.kind == "directory" and self.body.status == HTTPStatus.PARTIAL_CONTENT

    def stop(self) -> None:
        """Stop sending, since the download was cancelled."""
        self.is_to_stop = True
        self.stirred.set()

    def progress(self) -> DownloadProgress:
        """Return the progress of the download."""
        return DownloadProgress(id=self.begun.id, bytes_sent=self.bytes_sent, size_bytes=self.whole.size_bytes)

    async def do(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that reads the source in a thread, with the reader's rights, and return its result."""
        return await self.downloads.threads.do(
            self.begun.username, self._with_rights, partial(function, *args, **kwargs)
        )

    def _with_rights(self, function: Callable[[], T]) -> T:
        with self.whole.source.access.reading():
            return function()

    def ended(self, error: StagingError | None) -> DownloadEnded:
        """Return the ending to record."""
        whole, checksum = self.whole, self.whole.checksum
        if self.summed and error is None:
            checksum = text(self.summed.adler32)
        is_known = isinstance(whole, FileRepresentation) and whole.source.is_settled
        return DownloadEnded(
            id=self.begun.id,
            bytes_sent=self.bytes_sent,
            kind=whole.kind,
            size_bytes=whole.size_bytes,
            file_count=whole.file_count,
            checksum=checksum,
            checksum_algorithm=ADLER32 if checksum else None,
            source_fingerprint=whole.source.fingerprint if is_known else None,
            error=error,
        )

    def cut_short(self) -> Cancelled:
        """Return the error of a download that the client left, or that was cancelled."""
        why = Cancelled().message if self.is_to_stop else "the client hung up"
        return Cancelled(f"{why} after {self.bytes_sent} of {self.body.size_bytes} bytes")


class Download(Response):
    """A file, a part of it or a directory's archive.

    What is small goes out as one message, and is on record before that as
    sent. Anything else is on record as begun before; it goes through a pipe,
    so that it is known how much the client's connection has taken when it breaks.
    """

    def __init__(self, sending: Sending) -> None:
        super().__init__(status_code=sending.body.status, headers=headers_of(sending.whole, sending.body))
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, and record how that ended."""
        sending = self._sending
        with sending.whole.source.descriptor:
            if sending.whole.content is not None:
                await self._send_at_once(send)
                return
            error: StagingError | None = UnforeseenError(RuntimeError("the service stopped in the middle"))
            try:
                error = await self._try_to_send(scope, receive, send)
            finally:
                sending.downloads.recorder.end(sending.ended(error))
        if error and not isinstance(error, Cancelled):
            raise error  # so that the connection breaks: an answer cut short must be seen as such

    async def _send_at_once(self, send: Send) -> None:
        sending = self._sending
        content = b"".join(piece for piece in sending.body.pieces if isinstance(piece, bytes))
        sending.bytes_sent = len(content)
        await sending.downloads.recorder.write(sending.begun, sending.ended(None))
        await send(self._start)
        await send({"type": "http.response.body", "body": content})

    @property
    def _start(self) -> dict[str, object]:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}

    async def _try_to_send(self, scope: Scope, receive: Receive, send: Send) -> StagingError | None:
        try:
            if PATHSEND in scope.get("extensions", {}):
                await self._send_by_pipe(receive, send)
            else:
                await self._send_by_blocks(receive, send)
        except StagingError as error:
            return error
        return None

    async def _send_by_pipe(self, receive: Receive, send: Send) -> None:
        sending = self._sending
        pipe = BodyPipe(iter(sending.summed or sending.body.pieces))

        def is_over() -> bool:
            return sending.is_to_stop or pipe.is_abandoned

        try:
            if sending.begins_late:
                await self._find_beginning(pipe, receive)
            await send(self._start)
            await send({"type": PATHSEND, "path": pipe.path})
            while (pumped := await sending.do(pipe.pump)) is not PumpOutcome.DONE:
                sending.bytes_sent = pipe.bytes_taken
                if pumped is PumpOutcome.STALLED:
                    await _until(lambda: pipe.shrink() or is_over())
                    await _writable(pipe.inlet, sending)
                if pumped is PumpOutcome.ABANDONED or is_over():
                    break
            await _until(lambda: pipe.is_drained or is_over())
            if sending.is_to_stop:
                pipe.discard()
            sending.bytes_sent = pipe.bytes_taken
        finally:
            pipe.close()
        if sending.bytes_sent < sending.body.size_bytes:
            raise sending.cut_short()

    async def _find_beginning(self, pipe: BodyPipe, receive: Receive) -> None:
        """Put the first byte into the pipe; until the answer begins, the server tells whether the client is there."""
        sending, gone = self._sending, asyncio.Event()
        async with background_task(_watch(receive, gone), name="client"):
            while not (sending.is_to_stop or await sending.do(pipe.has_begun)):
                if gone.is_set():
                    raise sending.cut_short()

    async def _send_by_blocks(self, receive: Receive, send: Send) -> None:
        sending, gone = self._sending, asyncio.Event()

        def is_over() -> bool:
            return sending.is_to_stop or gone.is_set()

        await send(self._start)
        async with background_task(_watch(receive, gone), name="client"):
            pieces = iter(sending.summed or sending.body.pieces)
            while not is_over() and (piece := await sending.do(_next, pieces)) is not None:
                start = 0
                while not is_over() and (block := await sending.do(_block, piece, start)):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                    start += len(block)
                    sending.bytes_sent += len(block)
            if is_over() and sending.bytes_sent < sending.body.size_bytes:
                raise sending.cut_short()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _next(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)


def _block(piece: Piece, start: int) -> bytes:
    if isinstance(piece, FileRun):
        return os.pread(piece.fd, min(BLOCK_BYTES, piece.size_bytes - start), piece.offset + start)
    return piece[start : start + BLOCK_BYTES]


async def _watch(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _writable(inlet: int, sending: Sending) -> None:
    """Wait until a pipe has room, its other end is closed, or the download is stopped."""
    loop = asyncio.get_running_loop()
    sending.stirred.clear()
    if sending.is_to_stop:
        return
    loop.add_writer(inlet, sending.stirred.set)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(sending.stirred.wait(), FIRST_BYTES_SECONDS)
    finally:
        loop.remove_writer(inlet)


async def _until(holds: Callable[[], bool]) -> None:
    """Poll until a condition holds that no event announces: that the server has taken enough from a pipe."""
    pause = FIRST_LOOK
    while not holds():
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK)
