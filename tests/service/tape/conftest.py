"""A door that Debian's gfal2 reaches by TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gfal import Gfal, find_gfal, make_certificate
from tests.open_folder import open_folder
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from tests.service.conftest import ServedDoor


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key beside it."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def gfal(certificate: Path) -> Gfal:
    """Debian's gfal2."""
    return find_gfal(certificate)


@pytest.fixture(scope="session")
def tls_door(
    serve: Callable[..., AbstractContextManager[ServedDoor]],
    certificate: Path,
    new_database: Callable[[], str],
) -> Iterator[ServedDoor]:
    """A door by TLS, without Prefect: the tests do what a run does."""
    with (
        open_folder() as folder,
        serve(folder, database_url=new_database(), prefect_api=NO_PREFECT, certificate=certificate) as door,
    ):
        yield door
