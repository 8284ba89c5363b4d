"""Processes that are ready before there is work for them, forked from one that has imported everything."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import anyio
from anyio import CapacityLimiter, create_memory_object_stream
from anyio.to_thread import run_sync

from workers.child import READY, RunOrder, live

logger = logging.getLogger(__name__)

# Seconds to wait after a fork that failed, for lack of memory or processes.
PAUSE_AFTER_FAILURE_SECONDS = 2.0


class ReadyProcess:
    """A ready process, from the worker's side: it waits for one order, carries it out and ends.

    It has the attributes of ``subprocess.Popen`` that Prefect looks at.
    """

    def __init__(self, process: ForkServerProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, the negative signal number that ended it, or None while it lives."""
        return self._process.exitcode

    async def is_ready(self) -> bool:
        """Wait until it is ready; return False if it died before."""
        await anyio.wait_readable(self._connection)
        try:
            return self._connection.recv_bytes() == READY
        except (EOFError, OSError):
            return False

    def give(self, order: RunOrder) -> None:
        """Send it its one order.

        Raises
        ------
        OSError
            It is dead.
        """
        self._connection.send_bytes(order.to_json())
        self._connection.close()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await anyio.wait_readable(self._process.sentinel)
        self._process.join()

    def dismiss(self) -> None:
        """Dismiss it without an order; it then ends by itself."""
        self._connection.close()


class ReadyProcesses:
    """Keeps a number of children ready.

    Notes
    -----
    The parent of the children is the standard library's fork server, a process
    of one thread that has imported ``preload`` and has no connection open.
    https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
    """

    def __init__(self, *, size: int, preload: Sequence[str]) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._vacancies = anyio.Semaphore(size)
        self._put, self._ready = create_memory_object_stream[ReadyProcess](size)
        self._one_at_a_time = CapacityLimiter(1)

    async def take(self) -> ReadyProcess:
        """Wait for a child that is ready, and return it."""
        while True:
            child = await self._ready.receive()
            self._vacancies.release()
            if child.returncode is None:
                return child
            logger.warning("A ready process died while it waited for a run (%s)", child.returncode)

    async def keep_full(self) -> None:
        """Fork another child for each one that is taken, for ever."""
        while True:
            await self._vacancies.acquire()
            while (child := await self._fork_one()) is None:  # noqa: ASYNC110 - nothing tells when there is memory again
                await anyio.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            await self._put.send(child)

    def close(self) -> None:
        """Dismiss the children that were not taken."""
        self._put.close()
        while True:
            try:
                self._ready.receive_nowait().dismiss()
            except (anyio.WouldBlock, anyio.EndOfStream):
                return

    async def _fork_one(self) -> ReadyProcess | None:
        try:
            child = await run_sync(self._fork, limiter=self._one_at_a_time)
        except OSError as error:
            logger.warning("No process could be forked: %s", error)
            return None
        if await child.is_ready():
            return child
        await child.wait()
        logger.warning("A process ended before it was ready (%s)", child.returncode)
        return None

    def _fork(self) -> ReadyProcess:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=live, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return ReadyProcess(process, ours)
