"""What a notebook server shows of a directory, read as it comes: it may be long, and the server is its user's."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from stager.errors import PeerFault

# How much a server may show of a directory, and tell of one file in it.
MAX_LISTED = 100_000
MAX_LISTING_BYTES = 32 << 20
MAX_ENTRY_CHARACTERS = 64 << 10
_UNREADABLE = "its listing of a directory cannot be read"
_BEGINNING = re.compile(r'"content"\s*:\s*(\[|null)')
_BETWEEN = re.compile(r"[\s,]*")


def listed(pieces: Iterable[bytes], peer: str) -> Iterator[Any]:
    """Yield the JSON of each file and directory in that of a directory, as its bytes come.

    Of the whole, only one is held in memory at a time: made into objects, JSON is up to thirty times as long.

    Raises
    ------
    PeerFault
        It is none, or longer than a listing may be.
    """
    reading = _Reading(pieces, peer)
    if reading.beginning() == "[":
        for count, each in enumerate(reading.entries(), start=1):
            if count > MAX_LISTED:
                raise PeerFault(peer, f"it shows more than {MAX_LISTED} files in a directory")
            yield each
    reading.end()


class _Reading:
    """Text as far as it has come, and how far it was understood."""

    def __init__(self, pieces: Iterable[bytes], peer: str) -> None:
        self._pieces = iter(pieces)
        self._peer = peer
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position = 0
        self._bytes = 0

    def beginning(self) -> str:
        """Skip what is before the directory's content, and return with what that begins."""
        while (found := _BEGINNING.search(self._text)) is None:
            self._more()
        self._position = found.end()
        return found[1]

    def entries(self) -> Iterator[Any]:
        """Yield each, up to the end of the content."""
        decoder = json.JSONDecoder()
        while True:
            between = _BETWEEN.match(self._text, self._position)
            self._position = between.end() if between else self._position
            if self._text.startswith("]", self._position):
                return
            try:
                each, self._position = decoder.raw_decode(self._text, self._position)
            except ValueError:  # not all of it is there yet, or it is none
                self._more()
            except RecursionError as error:
                raise PeerFault(self._peer, f"{_UNREADABLE}: it is nested too deep") from error
            else:
                yield each

    def end(self) -> None:
        """Take what is behind the content, after which the connection can be used again."""
        while self._next() is not None:
            pass

    def _next(self) -> bytes | None:
        piece = next(self._pieces, None)
        self._bytes += len(piece or b"")
        if self._bytes > MAX_LISTING_BYTES:
            raise PeerFault(self._peer, f"{_UNREADABLE}: it has more than {MAX_LISTING_BYTES} bytes")
        return piece

    def _more(self) -> None:
        self._text, self._position = self._text[self._position :], 0
        if len(self._text) > MAX_ENTRY_CHARACTERS:
            raise PeerFault(self._peer, f"{_UNREADABLE}: it is none of files")
        piece = self._next()
        if piece is None:
            raise PeerFault(self._peer, f"{_UNREADABLE}: it ends too early")
        try:
            self._text += self._decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise PeerFault(self._peer, f"{_UNREADABLE}: it is not UTF-8") from error
