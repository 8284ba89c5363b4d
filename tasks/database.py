"""The records database of a run."""

from __future__ import annotations

from functools import cache

from stager.records.database import Database
from stager.settings import get_settings


def records_database() -> Database:
    """Return the process's records database; it is ready for use after a fork, too."""
    return _database(get_settings().database_url.get_secret_value())


@cache
def _database(url: str) -> Database:
    return Database(url)
