"""What is only shown in Prefect's pages may fail: the data and the record come first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectException

logger = logging.getLogger(__name__)


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Run the body, and go on when Prefect's API does not take it."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("Not shown in Prefect: %s", error)
