"""Texts for Prefect's pages, which may fail to be shown: the data and the record come first."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from stager.errors import printable

logger = logging.getLogger(__name__)

# Characters that may mean something in Markdown or HTML. Those within the words of most paths, the home that one begins
# with, and a colon before a blank, mean nothing there: the tables of Prefect's newer pages, which are no Markdown,
# would show their backslashes.
_MARK = re.compile(
    r"(?<![^\W_])[.+=_-]|[.+=_-](?![^\W_])|(?<=www)\.|:(?=\S)|(?!\A~/)[\\`*{}\[\]<>()#!|~&@$^]", re.IGNORECASE
)


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Run the body, log any error of it, and go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nobody knows all that may be wrong with a page
        logger.warning("Could not show this in Prefect: %s: %s", type(error).__name__, error)


def as_text(words: str) -> str:
    """Return a text escaped for Prefect's pages, which would take it for Markdown."""
    return _MARK.sub(r"\\\g<0>", printable(words))
