"""Places: where items go, whatever kind of thing that is."""

from __future__ import annotations

from typing import Protocol, Self


class Place(Protocol):
    """Where an item goes: beneath a mounted folder (`Location`), or at another server."""

    @property
    def key(self) -> str:
        """What others write by: one for all names of a place, and after a slash, that of whatever lies in it.

        Leases and our own receipts are found by it.
        """

    @property
    def display(self) -> str:
        """What it is called in messages."""

    @property
    def parent(self) -> Self:
        """What it lies in."""
