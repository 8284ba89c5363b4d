"""A Prefect of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_HOME, get_current_settings, temporary_settings
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="module")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("prefect")
    with temporary_settings({PREFECT_HOME: home}), prefect_test_harness(server_startup_timeout=600):
        yield str(get_current_settings().api.url)
