"""The records for an event loop: functions of the records run in threads, so that the loop does not wait."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from stager.records.database.transactions import Database

# As many as a connection pool keeps open; who waits for an outcome holds
# none of them in between.
MAX_THREADS = 5
# How long a database that does not answer is waited for, in seconds: as long as a caller waits.
DATABASE_PATIENCE_SECONDS = 3.0

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class AsyncDatabase:
    """The records database, and the threads that wait for it.

    They are its own: when they all wait for a slow database, files are still
    read and sent.
    """

    database: Database
    threads: ThreadPoolExecutor

    async def ask(self, function: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function of the records in a thread, and return its result."""
        context = contextvars.copy_context()  # the request's id on its log lines
        call = partial(context.run, partial(function, self.database, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)


@asynccontextmanager
async def open_records(url: str) -> AsyncIterator[AsyncDatabase]:
    """Yield the records of a database, and close it at the end."""
    database = Database(url, patience=DATABASE_PATIENCE_SECONDS)
    threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="records")
    try:
        yield AsyncDatabase(database, threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        database.close()
