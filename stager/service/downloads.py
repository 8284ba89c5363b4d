"""``direct_download``: the answer is the file, and the record says how it went."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Mapping
from urllib.parse import quote

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stager.errors import Cancelled, SourceChanged, StagingError, UnforeseenError, source_error
from stager.records import StagingRequestRow, files_of
from stager.service.areas import resolve_area
from stager.service.door import Door
from stager.service.download_record import DownloadRecord
from stager.service.source import OpenSource, open_source

BLOCK_BYTES = 1024 * 1024

logger = structlog.get_logger(__name__)


async def download(door: Door, row: StagingRequestRow) -> Response:
    """Return the answer that is the file of a recorded request.

    Raises
    ------
    StagingError
        It cannot be sent; the record is closed.
    """
    file = (await door.ask(files_of, row.id))[0]
    record = DownloadRecord(door, row, file)
    await record.begin()
    try:
        area = await asyncio.to_thread(resolve_area, row.source_area)
        source = await asyncio.to_thread(open_source, area, file.local_path_on_storage)
    except StagingError as error:
        await record.end(error)
        raise
    return Download(record, source)


class Download(Response):
    """The bytes of an open file, read in threads while others are served."""

    media_type = "application/octet-stream"

    def __init__(self, record: DownloadRecord, source: OpenSource) -> None:
        super().__init__(headers=_headers(source))
        self._record = record
        self._source = source
        self._gone = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the file, and write down how that ended."""
        watcher = asyncio.create_task(self._watch(receive))
        error: StagingError | None = UnforeseenError(RuntimeError("the service stopped in the middle"))
        try:
            async with self._record.kept_alive():
                error = await self._try_to_send(send)
        finally:
            watcher.cancel()
            self._source.descriptor.close()
            await asyncio.shield(self._record.end(error))
        if error and not isinstance(error, Cancelled):
            raise error  # so that the connection breaks: an answer cut short must be seen as such

    async def _try_to_send(self, send: Send) -> StagingError | None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_blocks(send)
        except StagingError as error:
            return error
        except OSError as error:
            return Cancelled(self._hung_up()) if self._gone.is_set() else source_error(error, self._display)
        return None

    async def _send_blocks(self, send: Send) -> None:
        record, size = self._record, self._source.size_bytes
        while record.bytes_sent < size:
            block = await asyncio.to_thread(self._read, record.bytes_sent)
            if self._gone.is_set():
                raise Cancelled(self._hung_up())
            await send({"type": "http.response.body", "body": block, "more_body": True})
            record.bytes_sent += len(block)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _read(self, offset: int) -> bytes:
        size = min(BLOCK_BYTES, self._source.size_bytes - offset)
        block = os.pread(self._source.descriptor.fd, size, offset)
        if not block:
            raise SourceChanged(self._display, f"it ended after {offset} of {self._source.size_bytes} bytes")
        self._record.adler32 = zlib.adler32(block, self._record.adler32)
        return block

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    def _hung_up(self) -> str:
        return f"the client hung up after {self._record.bytes_sent} of {self._source.size_bytes} bytes"

    @property
    def _display(self) -> str:
        return self._source.location.display


def _headers(source: OpenSource) -> Mapping[str, str]:
    return {
        "Content-Length": str(source.size_bytes),
        "Content-Disposition": content_disposition(source.location.name),
        "X-Content-Type-Options": "nosniff",
    }


def content_disposition(name: bytes) -> str:
    r"""Return the header's value for a file to be saved under a name.

    Parameters
    ----------
    name
        The name's bytes; what is not UTF-8 in it becomes U+FFFD.

    Notes
    -----
    RFC 6266: ``filename`` for old clients, in ASCII and quoted; ``filename*``
    in RFC 8187's form where that says less than the name.
    """
    text = name.decode("utf-8", "replace")
    plain = "".join(c if c.isascii() and c.isprintable() else "_" for c in text)
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    extended = "" if plain == text else f"; filename*=UTF-8''{quote(text, safe='')}"
    return f'attachment; filename="{quoted}"{extended}'
