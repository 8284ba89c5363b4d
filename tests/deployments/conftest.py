"""A Prefect of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.open_prefect import open_prefect


@pytest.fixture(scope="module")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_prefect(tmp_path_factory.mktemp("prefect")) as api:
        yield api
