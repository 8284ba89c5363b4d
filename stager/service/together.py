"""Calls of the records that come at the same moment share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from stager.records import Database

Call = Callable[[Database], Any]


class Together:
    """Whoever comes while others are written waits for the next transaction, which takes all that wait.

    Parameters
    ----------
    write
        Does some calls, and returns what each returns or raises.
    """

    def __init__(self, write: Callable[[Sequence[Call]], Awaitable[Sequence[Any]]]) -> None:
        self._write = write
        self._waiting: list[tuple[Call, asyncio.Future[Any]]] = []
        self._turn = asyncio.Lock()

    async def ask(self, call: Call) -> Any:  # noqa: ANN401 - whatever the call returns
        """Return what a call returns, or raise what it raises, once it is committed."""
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, outcome))
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
            results = await self._write([call for call, _ in some])
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
