"""What is only shown in Prefect's pages may fail: the data and the record come first."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from stager.errors import printable

logger = logging.getLogger(__name__)

# What Markdown or HTML may take for more than itself. What stands within the words of most paths, and a colon before a
# blank, mean nothing there: the tables of Prefect's newer pages, which are no Markdown, would show their backslashes.
_MARK = re.compile(r"(?<![^\W_])[.+=_-]|[.+=_-](?![^\W_])|(?<=www)\.|:(?=\S)|[\\`*{}\[\]<>()#!|~&@$^]", re.IGNORECASE)


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Run the body, and go on whatever keeps it from being shown: the log says it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nobody knows all that may be wrong with a page
        logger.warning("Could not show this in Prefect: %s: %s", type(error).__name__, error)


def as_text(words: str) -> str:
    """Return what others wrote so that Prefect's pages, which show it as Markdown, show the words themselves."""
    return _MARK.sub(r"\\\g<0>", printable(words))
