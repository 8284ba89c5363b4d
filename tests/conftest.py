"""What every tier shares: real databases, and no silent skips in CI."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.mariadb import MariaDB, is_installed

# Whose tests share what is slow to start, the longest first: by files, each would start a service for either database.
SHARED = (
    *("tests/cluster/", "tests/flows/", "tests/workers/"),
    *(f"tests/service/{room}/" for room in ("downloads", "access", "dispatch", "api", "insight", "tape", "http")),
    *("tests/soak/", "tests/stack/", "tests/attacks/", "tests/peers/", "tests/methods/"),
)
SKIPS_FAIL = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skipped test is a failed one: what it needs is missing."""
    report = yield
    if SKIPS_FAIL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and with CI=true nothing may be skipped: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With CI=true a file that skips itself fails too."""
    report = yield
    if SKIPS_FAIL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and with CI=true nothing may be skipped: {_reason(report)}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts a server, and show what is the same by any database with one: records' own tests have both."""
    for item in items:
        for mark, fixtures in {"hub": {"running_hub"}, "store": {"rclone", "rgw"}}.items():
            if fixtures & {*getattr(item, "fixturenames", ())}:
                item.add_marker(mark)
    twice = [item for item in items if {"any_database", "mariadb"} <= {mark.name for mark in item.iter_markers()}]
    if twice:
        config.hook.pytest_deselected(items=twice)
        items[:] = [item for item in items if item not in set(twice)]
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Return when a test's turn comes: first what takes long, so that at the end the short ones fill the gaps."""
    first = (*SHARED, "tests/service/")
    return next((turn for turn, folder in enumerate(first) if item.nodeid.startswith(folder)), len(first))


def pytest_collection_finish() -> None:
    """Let no garbage collection go through all that was imported: some tests make thousands of them."""
    gc.collect()
    gc.freeze()


class DealtByFolder(LoadFileScheduling):  # type: ignore[misc]
    """Side by side, a file's tests stay together, and all that share what is slow to start."""

    def _split_scope(self, nodeid: str) -> str:
        return next((one for one in SHARED if nodeid.startswith(one)), str(super()._split_scope(nodeid)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> DealtByFolder:
    """Say how tests are dealt out to processes."""
    return DealtByFolder(config, log)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def _run_mariadb(folder: Path) -> Iterator[MariaDB]:
    if not is_installed():
        pytest.skip("needs MariaDB's programs (Debian: apt-get install mariadb-server)")
    server = MariaDB(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.datadir, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """The session's MariaDB server: leave it running."""
    yield from _run_mariadb(tmp_path_factory.mktemp("mariadb"))


@pytest.fixture
def own_mariadb(tmp_path: Path) -> Iterator[MariaDB]:
    """A MariaDB server of the test's own, which it may stop and start."""
    yield from _run_mariadb(tmp_path)


@pytest.fixture
def mariadb_database(mariadb_server: MariaDB) -> Iterator[str]:
    """The URL of a fresh MariaDB database, dropped afterwards."""
    url = mariadb_server.create_database()
    yield url
    mariadb_server.execute(f"DROP DATABASE {url.rpartition('/')[2]}")


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database: each test runs on SQLite and on MariaDB."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue("mariadb_database"))
