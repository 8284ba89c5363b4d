"""The mover's side of a step under way: what it reports to the service, and asks it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import starmap
from typing import Any

from stager.engine import Control, Found
from stager.errors import Cancelled, StagingError
from stager.mover.channel import Channel, ConnectionLost
from stager.vocabulary import ManifestEntry

# In one message at most: files of a product; items of which nothing is told but that a step is done; others.
FILES_IN_A_MESSAGE = 512
TOLD_AT_ONCE = 256
PAGE_ITEMS = 64
# Seconds between two looks for what is to be left, and between two reports of an item's progress.
LOOK_SECONDS = 0.05
PROGRESS_SECONDS = 0.2


class StopOrders:
    """The items that the service told its mover to leave."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._items: set[int] = set()
        self._next_look = 0.0

    def add(self, item_ids: Iterable[int]) -> None:
        """Take items that are to be left."""
        self._items.update(item_ids)

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()

    def has(self, item_id: int) -> bool:
        """Return whether an item is to be left; the service is listened to now and then."""
        if (now := time.monotonic()) >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            while (message := self._channel.receive(0)) is not None:
                self.add(message["stop"])
        return item_id in self._items


class Dialogue:
    """The dialogue with the service about one item; as a signal, it is set when the item is to be left.

    Parameters
    ----------
    stops
        Tells which items are to be left.
    before
        Called before each report and question.
    """

    def __init__(
        self, channel: Channel, item_id: int, stops: StopOrders, *, before: Callable[[], None] = lambda: None
    ) -> None:
        self._channel = channel
        self._id = item_id
        self._stops = stops
        self._before = before
        self._files: list[ManifestEntry] = []
        self._found: list[Found] = []
        self._progress: tuple[int, int] | None = None
        self._told_at = time.monotonic()

    def is_set(self) -> bool:
        """Return whether the service told the mover to leave the item."""
        return self._stops.has(self._id)

    def control(self) -> Control:
        """Return a control that reports the item's progress, and cancels it."""

        def report(bytes_done: int, files_done: int) -> None:
            self._progress = bytes_done, files_done
            if (now := time.monotonic()) - self._told_at >= PROGRESS_SECONDS:
                self._told_at = now
                self._channel.send(self._report())

        return Control(report, self)

    def on_file(self, file: ManifestEntry) -> None:
        """Report a file of the product."""
        self._files.append(file)
        if len(self._files) >= FILES_IN_A_MESSAGE:
            self._channel.post(self._report())

    def on_found(self, found: Found) -> None:
        """Report a path that the item stands for."""
        self._found.append(found)
        if len(self._found) >= FILES_IN_A_MESSAGE:
            self.report()

    def report(self) -> None:
        """Report what was not reported yet."""
        self._channel.send(self._report())

    def _report(self) -> dict[str, Any]:
        self._before()
        return {"says": "report", "id": self._id, **self.unreported()}

    def unreported(self) -> dict[str, Any]:
        """Return what was not reported yet, as it is added to a message: progress, files, and what was found."""
        said = {"progress": self._progress, "files": self._files, "found": self._found}
        self._progress, self._files, self._found = None, [], []
        return {name: news for name, news in said.items() if news}

    def refuse(self, item_ids: Collection[int]) -> dict[int, StagingError]:
        """Return a `Cancelled` for each item that must not be published: the service knows why."""
        refused = self._ask("refuse", items=list(item_ids))
        return {item_id: Cancelled() for item_id in refused}

    def confirm(self) -> None:
        """Check that the destination is still ours; else raise `Cancelled`: the service knows why."""
        if self.refuse([self._id]):
            raise Cancelled

    def known(self) -> Iterator[ManifestEntry]:
        """Yield the checksums that an earlier delivery of the very same source has on record."""
        while files := self._ask("known"):
            yield from starmap(ManifestEntry, files)

    def link(self, source: int, folder: int, name: bytes) -> None:
        """Let the service link an open file into an open folder; raises OSError as linkat(2) does."""
        self._ask("link", source, folder, name=os.fsdecode(name))

    def status(self, folder: int, name: str) -> os.stat_result:
        """Return the status of a name in a lent folder."""
        values, named = self._ask("status", name=name, folder=folder)
        return os.stat_result(values, named)

    def link_text(self, folder: int, name: str) -> str:
        """Return the text of a symbolic link in a lent folder."""
        text: str = self._ask("link text", name=name, folder=folder)
        return text

    def opened(self, folder: int, name: str) -> tuple[int, int]:
        """Open a file or a directory in a lent folder; return its descriptor, and its number with the service."""
        number = self._ask("open", name=name, folder=folder)
        (found,) = self._channel.descriptors(1)
        fd, found.fd = found.fd, -1
        return fd, number

    def returned(self, folder: int) -> None:
        """Give a folder back."""
        self._ask("return", folder=folder)

    def _ask(self, what: str, *descriptors: int, **more: Any) -> Any:  # noqa: ANN401 - whatever is answered
        self._before()
        asks = {"says": what, "id": self._id, "descriptors": len(descriptors), **more}
        self._channel.send(asks, descriptors)
        while (message := self._channel.receive(None)) is not None:
            if "stop" in message:
                self._stops.add(message["stop"])
            elif (number := message["errno"]) is not None:
                raise OSError(number, os.strerror(number))
            elif message["is_refused"]:
                raise Cancelled
            else:
                return message["answer"]
        raise ConnectionLost
