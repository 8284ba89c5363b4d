"""One site for all attacks: they are told apart by where they look."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.site import Site, attacked_site
from tests.attacks.world import AREAS
from tests.service.access.conftest import HERE as OIDC


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A site as `make up` runs it for root, with authentication on."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root, to be somebody else")
    if not (shutil.which("node") and Path(OIDC, "node_modules").exists()):
        pytest.skip("needs Node.js and the OpenID provider (deployments/local/test_packages installs it)")
    with attacked_site() as made:
        yield made


@pytest.fixture(scope="module", params=list(AREAS))
def areas(request: pytest.FixtureRequest, site: Site) -> Iterator[str]:
    """How the areas are: open, or one of them closed."""
    site.world.shut(request.param)
    yield request.param
    site.world.shut("open")


@pytest.fixture(autouse=True)
def nothing_outside_changes(site: Site) -> Iterator[None]:
    """Whatever a test does, what is not Alice's stays as it is."""
    before = site.world.outside()
    yield
    assert site.world.outside() == before
