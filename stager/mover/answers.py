"""The service's answers to what a mover asks while a step is under way."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stager.engine import Found, Link, Refuse, StopSignal
from stager.errors import StagingError
from stager.methods import Item
from stager.mover.channel import Channel
from stager.mover.dialogue import FILES_IN_A_MESSAGE
from stager.mover.lending import Lending
from stager.mover.replies import Question
from stager.paths import Descriptor, Location, Symlinks, open_location
from stager.vocabulary import ManifestEntry


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The callbacks of a step of one item in the service; an error that one raises ends the item.

    Attributes
    ----------
    stopped
        Set when the item is to be left.
    on_progress
        Called with the bytes and files done so far.
    on_file
        Called with each file of the product, in the walk's order.
    on_found
        Called with the next paths that the item stands for.
    known
        Gives the checksums of the very same source that are on record.
    admitted
        Entered around a step that is done in this process, with what is set when the item is to be left.
    """

    stopped: StopSignal
    on_progress: Callable[[int, int], None] = lambda _bytes, _files: None
    on_file: Callable[[ManifestEntry], None] = lambda _: None
    on_found: Callable[[Sequence[Found]], None] = lambda _: None
    known: Callable[[], Iterable[ManifestEntry]] = tuple
    admitted: Callable[[StopSignal], AbstractContextManager[None]] = lambda _: nullcontext()


@dataclass
class Watched:
    """An item with a step under way, and the state of that."""

    watch: Watch
    error: StagingError | None = None
    is_told: bool = False
    known: Iterator[ManifestEntry] | None = None


class Answers:
    """Answers the questions of one mover.

    Parameters
    ----------
    link
        Gives an open file a name; raises OSError.
    roots
        The user's folders, open.
    """

    def __init__(self, channel: Channel, link: Link, roots: Mapping[Path, Descriptor]) -> None:
        self._channel = channel
        self._give_name = link
        self._roots = roots
        self._lending = Lending(_folder_of)

    def begin(self, items: Mapping[int, Item]) -> None:
        """Take back what was lent, and replace the items by these."""
        self.lend({item_id: item.source for item_id, item in items.items() if item.read_as == "service"})

    def lend(self, sources: Mapping[int, Location]) -> None:
        """Take back what was lent, and lend these sources, by the ids of their items."""
        # What has a folder's name by now may be a link of the user's.
        self._lending.begin(
            {item_id: replace(source, held=self._roots.get(source.root)) for item_id, source in sources.items()}
        )

    def answer(self, asks: Question, waiting: Mapping[int, Watched], refuse: Refuse) -> None:
        """Answer a question; an error in doing so becomes that of the item.

        Parameters
        ----------
        waiting
            The items that are under way.
        refuse
            Tells why some of them must not be published.
        """
        one = waiting[asks.id]
        answer: Any = None
        number, opened = None, Descriptor(-1)
        try:
            if one.error is not None:
                raise one.error
            if asks.says == "open":
                opened, answer = self._lending.opened(asks.id, asks.folder, asks.name)
            else:
                answer = self._refused(asks, waiting, refuse) if asks.says == "refuse" else self._answer_to(asks, one)
        except StagingError as error:
            one.error = error
        except OSError as error:
            number = error.errno or errno.EIO
        with opened:
            said = {"errno": number, "is_refused": one.error is not None, "answer": answer}
            self._channel.send(said, [opened.fd] if opened.fd >= 0 else ())

    def _answer_to(self, asks: Question, one: Watched) -> Any:  # noqa: ANN401 - whatever was asked for
        match asks.says:
            case "known":
                return self._more_known(one)
            case "link":
                return self._link(asks)
            case "status":
                return self._lending.status(asks.id, asks.folder, asks.name)
            case "link text":
                return self._lending.link_text(asks.id, asks.folder, asks.name)
            case _:
                return self._lending.returned(asks.id, asks.folder)

    @staticmethod
    def _refused(asks: Question, waiting: Mapping[int, Watched], refuse: Refuse) -> list[int]:
        """Return those of the items that must not be published; each has its error then."""
        items = {item_id: waiting[item_id] for item_id in asks.items if item_id in waiting}
        try:
            errors = refuse(items.keys())
        except StagingError as raised:
            errors = dict.fromkeys(items, raised)
        for item_id, error in errors.items():
            items[item_id].error = items[item_id].error or error
        return [item_id for item_id in asks.items if item_id not in items or items[item_id].error]

    @staticmethod
    def _more_known(one: Watched) -> list[ManifestEntry]:
        one.known = one.known or iter(one.watch.known())
        return list(islice(one.known, FILES_IN_A_MESSAGE))

    def _link(self, asks: Question) -> None:
        source, folder = self._channel.descriptors(2)
        with source, folder:
            self._give_name(source.fd, folder.fd, os.fsencode(asks.name))


def _folder_of(source: Location) -> tuple[Descriptor, bytes]:
    """Open the folder that a source is in, by no link; an area as a whole is in itself."""
    return open_location(source.parent, os.O_PATH | os.O_DIRECTORY, Symlinks.REFUSED), source.name or b"."
