"""What the clients of a soak have asked for and got, for the checks at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A request that was accepted, by the key that its client kept."""

    key: str
    request_id: str
    username: str
    kind: str
    # Of each item the destination, and its source.
    items: dict[str, str]


@dataclass
class Ledger:
    """All that the clients note; each adds to a list or a count, which threads may do at once."""

    accepted: list[Asked] = field(default_factory=list)
    # Calls that were made again: their answer was lost, or said to come later.
    repeated: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    downloaded_bytes: list[int] = field(default_factory=list)
    # From the first call to the end that the client saw.
    interactive_seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
