"""Ranges: the parts of a file that a client asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

# With more parts, or parts that add up to more than the file, the whole file is sent.
MAX_PARTS = 64
# A number of more digits is beyond the end of every file.
_DIGITS = 19
_PART = re.compile(r"(\d*)-(\d*)")


class Span(NamedTuple):
    """A range of bytes: the first, and the one after the last."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Number of bytes."""
        return self.end - self.start

    def content_range(self, size_bytes: int) -> str:
        """Return the value of Content-Range for this range."""
        return f"bytes {self.start}-{self.end - 1}/{size_bytes}"


def spans_of(header: str | None, size_bytes: int) -> tuple[Span, ...] | None:
    """Return the parts that a Range header asks for, in its order.

    Parameters
    ----------
    header
        The header's value, such as ``bytes=0-99,-5``.
    size_bytes
        How long the file is.

    Returns
    -------
    tuple of Span or None
        None where it is to be sent whole: nothing or nonsense is asked for,
        or more than makes sense. Empty where no part is in the file.
    """
    unit, equals, text = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    asked = [_span(part, size_bytes) for part in parts[: MAX_PARTS + 1]]
    if not asked or len(asked) > MAX_PARTS or None in asked:
        return None
    spans = tuple(span for span in asked if span and span.size_bytes > 0)
    return None if len(spans) > 1 and sum(span.size_bytes for span in spans) > size_bytes else spans


def _span(part: str, size_bytes: int) -> Span | None:
    """Return the span of one part: empty where it is outside the file, None where the text is not a part."""
    found = _PART.fullmatch(part)
    if not found or part == "-" or max(len(found[1]), len(found[2])) > _DIGITS:
        return None
    if not found[1]:
        return Span(max(0, size_bytes - int(found[2])), size_bytes)
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    end = int(found[2]) + 1 if found[2] else size_bytes
    return Span(min(start, size_bytes), min(end, size_bytes))
