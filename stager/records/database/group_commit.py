"""Group commit: calls of the same moment share one transaction, and so one flush of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from stager.errors import DatabaseUnavailable

A = TypeVar("A")
T = TypeVar("T")


class GroupCommit(Generic[A, T]):
    """Collects the calls that come while a transaction runs, and writes all of them in the next one.

    Parameters
    ----------
    write
        Writes down what some ask for, in one transaction or not at all, and returns in their order what each gets,
        or the error that each gets alone. Where it raises an error of several, each is written alone: one that cannot
        be takes no other with it.
    """

    def __init__(self, write: Callable[[Sequence[A]], Awaitable[Sequence[T | Exception]]]) -> None:
        self._write = write
        self._waiting: list[tuple[A, asyncio.Future[T]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def ask(self, asked: A) -> T:
        """Have a call written, and return its result or raise its error once it is committed.

        It is written also where the caller goes away meanwhile.

        Raises
        ------
        DatabaseUnavailable
            The database stayed away; nothing was written.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, outcome))
        if self._writing is None:  # in no caller's context: its log lines are not of one call
            self._writing = asyncio.create_task(self._write_waiting(), context=Context())
        return await outcome

    async def _write_waiting(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            results = await self._results([asked for asked, _ in some])
            for (_, outcome), result in zip(some, results, strict=True):
                _settle(outcome, result)
        self._writing = None

    async def _results(self, asked: Sequence[A]) -> Sequence[T | Exception]:
        try:
            return await self._write(asked)
        except DatabaseUnavailable as error:
            return [error] * len(asked)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            if len(asked) == 1:
                return [error]
            return [result for one in asked for result in await self._results([one])]


def _settle(outcome: asyncio.Future[T], result: T | Exception) -> None:
    if outcome.cancelled():
        return
    if isinstance(result, Exception):
        outcome.set_exception(result)
        outcome.exception()  # seen, also when its caller has gone away
    else:
        outcome.set_result(result)
