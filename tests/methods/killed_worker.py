"""A process that stages an item as a worker's does, and may be killed at any moment."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess

from stager.engine import Control
from stager.errors import StagingError
from stager.methods import Item, StagingMethod
from stager.mover.steps import STEPS, ItemsAtWork
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


def stage(method: StagingMethod, item: Item, connection: object) -> None:
    """Do all steps of an item, or as many as there is time for."""
    with method.connected(connection, None) as connected:
        connected.reach([item.destination], on_wait=lambda _: None, check=lambda: None)
        connected.sweep(item.destination.parent, living=lambda _: ())
        items = ItemsAtWork(connected, {1: item})
        for step in STEPS_DONE[:-1]:
            STEPS[step](items, 1, _Unwatched())
        outcome = items.publish([1], lambda _: {})[1]
        if isinstance(outcome, StagingError):
            raise outcome


@contextmanager
def staging(method: StagingMethod, item: Item, connection: object) -> Iterator[ForkServerProcess]:
    """Give such a process, which has not begun yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # it imports for as long as it stages
    process = context.Process(target=stage, args=(method, item, connection))
    try:
        yield process
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
