"""Probes of what may never answer, such as a hung mount."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVarTuple

Ts = TypeVarTuple("Ts")


class Probes:
    """Runs each probe in a thread of its own: one that hangs delays no other, nor the end of the process."""

    def __init__(self) -> None:
        self._out: dict[Hashable, Future[None]] = {}

    async def look(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run a function in a thread and wait for it; while its last call still runs, wait for that one instead."""
        kind = (function, args)
        out = self._out.get(kind)
        if out is None:
            self._out[kind] = out = Future()
            out.add_done_callback(lambda _: self._out.pop(kind))
            Thread(target=_look, args=(out, lambda: function(*args)), daemon=True).start()
        await asyncio.shield(asyncio.wrap_future(out))


def _look(out: Future[None], function: Callable[[], object]) -> None:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whoever waits gets it
        out.set_exception(error)
    else:
        out.set_result(None)
