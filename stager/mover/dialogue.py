"""What the step of one item tells the service, and asks it, while it is under way."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import starmap
from typing import Any

from stager.engine import Control
from stager.errors import Cancelled
from stager.mover.channel import Channel, ConnectionLost
from stager.vocabulary import ManifestEntry

# Files of a product that one message tells of.
FILES_IN_A_MESSAGE = 512


class Dialogue(threading.Event):
    """One item's; set when the item is to be left.

    Parameters
    ----------
    stopped
        Items that are to be left.
    """

    def __init__(self, channel: Channel, item_id: int, stopped: set[int]) -> None:
        super().__init__()
        self._channel = channel
        self._id = item_id
        self._stopped = stopped
        self._files: list[ManifestEntry] = []

    def is_set(self) -> bool:
        """Return whether the service wants the item left."""
        while (message := self._channel.receive(0)) is not None:
            self._stopped.add(message["stop"])
        return self._id in self._stopped

    def control(self) -> Control:
        """Return what takes the item's progress, and stops it."""

        def report(bytes_done: int, files_done: int) -> None:
            progress = {"says": "progress", "id": self._id, "bytes_done": bytes_done, "files_done": files_done}
            self._channel.send(progress)

        return Control(report, self)

    def on_file(self, file: ManifestEntry) -> None:
        """Tell of a file."""
        self._files.append(file)
        if len(self._files) >= FILES_IN_A_MESSAGE:
            self.finish()

    def finish(self) -> None:
        """Tell of the files that were not told of yet."""
        if self._files:
            files, self._files = self._files, []
            self._channel.post({"says": "files", "id": self._id, "files": files})

    def confirm(self) -> None:
        """Return when the destination still is ours to publish; else raise `Cancelled`: the service knows why."""
        self._ask("confirm")

    def known(self) -> Iterator[ManifestEntry]:
        """Yield the checksums that an earlier delivery of the very same source has on record."""
        while files := self._ask("known"):
            yield from starmap(ManifestEntry, files)

    def link(self, source: int, folder: int, name: bytes) -> None:
        """Let the service give an open file a name in an open folder; raises OSError as linkat(2)."""
        self._ask("link", source, folder, name=os.fsdecode(name))

    def status(self, folder: int, name: str) -> os.stat_result:
        """Return what has a name in a lent folder."""
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

    def _ask(self, what: str, *descriptors: int, name: str = "", folder: int = 0) -> Any:  # noqa: ANN401 - whatever is answered
        asks = {"says": what, "id": self._id, "name": name, "folder": folder, "descriptors": len(descriptors)}
        self._channel.send(asks, descriptors)
        while (message := self._channel.receive(None)) is not None:
            if "stop" in message:
                self._stopped.add(message["stop"])
            elif (number := message["errno"]) is not None:
                raise OSError(number, os.strerror(number))
            elif message["is_refused"]:
                raise Cancelled
            else:
                return message["answer"]
        raise ConnectionLost
