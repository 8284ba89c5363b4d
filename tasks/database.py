"""The records, as runs reach them."""

from __future__ import annotations

from functools import cache

from stager.records.database import Database
from stager.settings import get_settings


def records_database() -> Database:
    """Return the process's records database; one that was made before a fork is ready for use after it."""
    return _database(get_settings().database_url.get_secret_value())


@cache
def _database(url: str) -> Database:
    return Database(url)
