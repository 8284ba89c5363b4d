"""A process that stages an item as a worker's does, and may be killed at any moment."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess

from stager.engine import Control
from stager.methods import Item
from stager.methods.jupyter_copy import JupyterCopy
from stager.mover.steps import STEPS, ItemsAtWork
from stager.peers.jupyter import HubConnection
from stager.vocabulary import ManifestEntry

STEPS_DONE = ("check source", "check duplicate", "transfer", "set read-only", "publish")


class _Unwatched:
    """Nobody is told of a step, and nobody is asked."""

    def control(self) -> Control:
        return Control(lambda *_: None, threading.Event())

    def known(self) -> Iterator[ManifestEntry]:
        return iter(())

    def on_file(self, _: ManifestEntry) -> None:
        pass

    def confirm(self) -> None:
        pass


def stage(item: Item, connection: HubConnection) -> None:
    """Do all steps of an item, or as many as there is time for."""
    with JupyterCopy().connected(connection, None) as method:
        method.reach([item.destination], on_wait=lambda _: None, check=lambda: None)
        method.sweep(item.destination.parent, living=lambda _: ())
        items = ItemsAtWork(method, {1: item})
        for step in STEPS_DONE:
            STEPS[step](items, 1, _Unwatched())


@contextmanager
def staging(item: Item, connection: HubConnection) -> Iterator[ForkServerProcess]:
    """Give such a process, which has not begun yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # it imports for as long as it stages
    process = context.Process(target=stage, args=(item, connection))
    try:
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
