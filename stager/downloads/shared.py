"""What downloads share: threads, records, and the checksums that are known."""

from __future__ import annotations

import asyncio
import contextvars
import resource
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import Annotated, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from cachetools import LRUCache
from fastapi import Depends
from starlette.requests import Request

from stager.background import background_task
from stager.callers.open_source import OpenSource
from stager.checksums import text
from stager.downloads.recorder import DownloadRecorder
from stager.downloads.representation import FileRepresentation
from stager.engine.file_reading import read_block
from stager.errors import ServiceUnavailable
from stager.records.database import AsyncDatabase
from stager.records.items import checksum_of_source
from stager.settings import Settings

# Files up to so many bytes are read at once and sent as one message.
SMALL_BYTES = 128 * 1024
# Threads that open files and move bytes, and how many of them may work for one user; one that waits for a slow
# client gives its thread back.
THREADS, OF_ONE_USER = 16, 8
# Threads that ask object stores, which may take a minute each, and how many of them may work for one user.
STORE_THREADS, STORE_THREADS_OF_ONE_USER = 8, 2
# The user name in the record of a download without a user.
ANONYMOUS = "anonymous"
# Checksums that are kept in memory.
KNOWN_CHECKSUMS = 50_000

P = ParamSpec("P")
T = TypeVar("T")


class SharedThreads:
    """Threads in which what one user asks for takes no more than a share."""

    def __init__(self, count: int, *, of_one_user: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._of_one_user = of_one_user
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def do(self, whose: str | None, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function for a user in a thread, and return its result.

        What one user asks for takes no more than their share of the threads,
        however long it takes, and whether or not they still wait for it.
        """
        share = self._shares.setdefault(whose or ANONYMOUS, asyncio.Semaphore(self._of_one_user))
        await share.acquire()
        call = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
        done = asyncio.get_running_loop().run_in_executor(self._threads, call)
        done.add_done_callback(lambda _: share.release())
        return await asyncio.shield(done)

    def close(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Downloads:
    """What all downloads share: threads, the records, and known checksums.

    Attributes
    ----------
    threads
        Those that read storages.
    store_threads
        Those that ask object stores, and Prefect where those are.
    """

    settings: Settings
    records: AsyncDatabase
    recorder: DownloadRecorder
    threads: SharedThreads
    store_threads: SharedThreads
    # Checksums by fingerprint; the event loop and the threads use them.
    _known: LRUCache[str, str] = field(default_factory=lambda: LRUCache(KNOWN_CHECKSUMS))
    _knowing: Lock = field(default_factory=Lock)

    def small(self, source: OpenSource) -> FileRepresentation:
        """Return a file's representation, read whole if it is small; call it in a thread."""
        if source.size_bytes > SMALL_BYTES:
            return FileRepresentation(source, self._known_of(source))
        content = _whole(source)
        checksum = self._known_of(source) or text(zlib.adler32(content))
        self._keep(source, checksum)
        return FileRepresentation(source, checksum, content)

    async def with_checksum(self, file: FileRepresentation) -> FileRepresentation:
        """Return a file with its checksum, if the records know it."""
        if file.checksum or not file.source.is_settled:
            return file
        try:
            found = await self.records.ask(checksum_of_source, file.source.fingerprint)
        except ServiceUnavailable:  # the file can be sent without
            return file
        if found is None:
            return file
        self._keep(file.source, found)
        return replace(file, checksum=found)

    def _known_of(self, source: OpenSource) -> str | None:
        with self._knowing:
            return self._known.get(source.fingerprint)

    def _keep(self, source: OpenSource, checksum: str) -> None:
        if source.is_settled:
            with self._knowing:
                self._known[source.fingerprint] = checksum


def _whole(source: OpenSource) -> bytes:
    """Return a file's bytes; raise `SourceChanged` if there are fewer than its size."""
    content = bytearray(source.size_bytes)
    view, filled = memoryview(content), 0
    while filled < len(content):
        filled += read_block(source.descriptor.fd, view[filled:], filled, source.location.display)
    return bytes(content)


@asynccontextmanager
async def open_downloads(settings: Settings, records: AsyncDatabase) -> AsyncIterator[Downloads]:
    """Yield what downloads share; at the end, record what is left to record."""
    _raise_open_files_limit()
    threads = SharedThreads(THREADS, of_one_user=OF_ONE_USER, name="download")
    store_threads = SharedThreads(STORE_THREADS, of_one_user=STORE_THREADS_OF_ONE_USER, name="object store")
    recorder = DownloadRecorder(records, lease=settings.lease)
    async with AsyncExitStack() as stack:
        stack.callback(threads.close)
        stack.callback(store_threads.close)
        await stack.enter_async_context(background_task(recorder.run(), name="recorder of downloads"))
        await stack.enter_async_context(background_task(recorder.keep_alive(), name="heartbeat of downloads"))
        await stack.enter_async_context(background_task(recorder.look_after(), name="downloads under way"))
        yield Downloads(settings, records, recorder, threads, store_threads)


def _raise_open_files_limit() -> None:
    """Allow as many open files as the system does: a download holds five while it is sent."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _downloads_of(request: Request) -> Downloads:  # async, or FastAPI calls it in a thread
    downloads: Downloads = request.app.state.downloads
    return downloads


CurrentDownloads = Annotated[Downloads, Depends(_downloads_of)]
