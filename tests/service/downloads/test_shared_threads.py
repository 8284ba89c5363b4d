"""Threads of which one user has no more than a share."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from stager.downloads.shared import SharedThreads


def test_what_never_ends_for_one_user_holds_up_nobody_else_though_they_hang_up() -> None:
    gate = threading.Event()
    threads = SharedThreads(3, of_one_user=2, name="test")

    async def ask() -> str:
        hers = [asyncio.ensure_future(threads.do("alice", gate.wait)) for _ in range(8)]
        await asyncio.sleep(0)
        for call in hers:
            call.cancel()
        served = await threads.do("bob", lambda: "served")
        gate.set()
        for call in hers:
            with suppress(asyncio.CancelledError):
                await call
        return served

    try:
        assert asyncio.run(ask()) == "served"
    finally:
        threads.close()
