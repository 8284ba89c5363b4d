"""A migrated database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stager.records.database import Database
from tests.records_database import give_records


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The records, empty."""
    give_records(database_url)
    database = Database(database_url, patience=20)
    yield database
    database.close()
