"""What comes at the same moment is written down in one transaction: the disk is flushed once for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
T = TypeVar("T")


class GroupCommit(Generic[A, T]):
    """Whoever comes while others are written waits for the next transaction, which takes all that wait.

    Parameters
    ----------
    write
        Writes down what some ask for, and returns in their order what each gets, or the error that each gets alone.
    """

    def __init__(self, write: Callable[[Sequence[A]], Awaitable[Sequence[T | Exception]]]) -> None:
        self._write = write
        self._waiting: list[tuple[A, asyncio.Future[T]]] = []
        self._turn = asyncio.Lock()

    async def ask(self, asked: A) -> T:
        """Return what is got for that, or raise the error, once it is committed."""
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, outcome))
        async with self._turn:
            if not outcome.done():
                # The caller may go away; those whose calls we took may not lose theirs by it.
                await asyncio.shield(self._write_waiting())
        return await outcome

    async def _write_waiting(self) -> None:
        some, self._waiting = self._waiting, []
        if not some:  # somebody else has taken ours, and went away
            return
        try:
            results = await self._write([asked for asked, _ in some])
        except Exception as error:  # noqa: BLE001 - each caller's own
            results = [error] * len(some)
        for (_, outcome), result in zip(some, results, strict=True):
            if outcome.cancelled():
                continue
            if isinstance(result, Exception):
                outcome.set_exception(result)
                outcome.exception()  # seen, also when its caller has gone away
            else:
                outcome.set_result(result)
