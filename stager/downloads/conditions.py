"""Conditional requests: whether what the client has is still current (RFC 9110, section 13)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from enum import Enum

from starlette.datastructures import Headers

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Verdict(Enum):
    """The result of a request's conditions, with its HTTP status."""

    SEND = 200
    NOT_MODIFIED = 304
    FAILED = 412


@dataclass(frozen=True)
class Validators:
    """The entity tags and the time that tell one state of a file from another.

    Parameters
    ----------
    etag
        The entity tag as it is sent, ``W/`` and quotes included.
    modified
        Time of the last change, in whole seconds since the epoch.
    is_settled
        The file has not been touched lately, so that its time is as good as a tag.
    other
        Another tag of the very same state, by which a client may have it.
    """

    etag: str
    modified: int
    is_settled: bool
    other: str | None = None

    @property
    def last_modified(self) -> str:
        """The time of the last change, as a header has it."""
        return format_datetime(datetime.fromtimestamp(self.modified, UTC), usegmt=True)

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag of this state."""
        return (self.etag,) if self.other is None else (self.etag, self.other)

    def as_named_in(self, headers: Headers) -> Validators:
        """Return the validators with the tag by which the client's own conditions name this state."""
        conditions = (headers.get(name, "") for name in ("if-range", "if-match", "if-none-match"))
        named = {tag for tags in conditions for tag in _TAG.findall(tags)}
        if self.other is None or self.other not in named or self.etag in named:
            return self
        return replace(self, etag=self.other, other=self.etag)


def judge(headers: Headers, validators: Validators) -> Verdict:
    """Evaluate the conditions of a GET or HEAD, in the order of section 13.2.2.

    Notes
    -----
    A date that is none, and a date beside a tag, count as if they were not there.
    """
    if (tags := headers.get("if-match")) is not None:
        if not any(_matches(tags, tag, is_strong=True) for tag in validators.tags):
            return Verdict.FAILED
    elif (date := _seconds(headers.get("if-unmodified-since"))) is not None and validators.modified > date:
        return Verdict.FAILED
    if (tags := headers.get("if-none-match")) is not None:
        is_known = any(_matches(tags, tag, is_strong=False) for tag in validators.tags)
        return Verdict.NOT_MODIFIED if is_known else Verdict.SEND
    since = _seconds(headers.get("if-modified-since"))
    return Verdict.NOT_MODIFIED if since is not None and validators.modified <= since else Verdict.SEND


def may_continue(if_range: str | None, validators: Validators) -> bool:
    """Tell whether a Range is to be followed: the file that the client has a part of is unchanged (section 13.1.5).

    A weak tag never does, and a date only where it is as good as a tag (section 8.8.2.2).
    """
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return not if_range.startswith("W/") and if_range in validators.tags
    return validators.is_settled and _seconds(if_range) == validators.modified


def _matches(tags: str, etag: str, *, is_strong: bool) -> bool:
    if tags.strip() == "*":
        return True
    found = _TAG.findall(tags)
    if is_strong:
        return not etag.startswith("W/") and etag in found
    return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in found}


def _seconds(date: str | None) -> int | None:
    """Return an HTTP date as seconds since the epoch, None for any other text."""
    try:
        moment = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
