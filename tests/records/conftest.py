"""A migrated database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stager.records.database import Database
from stager.records.migrate import migrate


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The records, empty."""
    migrate(database_url)
    database = Database(database_url, patience=20)
    yield database
    database.close()
