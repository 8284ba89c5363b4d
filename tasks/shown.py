"""What is only shown in Prefect's pages may fail: the data and the record come first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectException

from stager.errors import printable

logger = logging.getLogger(__name__)

# What Markdown or HTML may take for more than itself.
_MARKS = frozenset("\\`*_{}[]<>()#+-.!|~&:@$^=")


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Run the body, and go on when Prefect's API does not take it."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("Not shown in Prefect: %s", error)


def as_text(words: str) -> str:
    """Return what others wrote so that Prefect's pages, which show it as Markdown, show the words themselves."""
    return "".join(f"\\{c}" if c in _MARKS else c for c in printable(words))
