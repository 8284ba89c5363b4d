"""What every tier shares: real databases, and no silent skips in CI."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pymysql
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.patience import PATIENCE
from tests.ports import free_port

INSTALL = shutil.which("mariadb-install-db")
SERVER = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
# Whose tests share what is slow to start, the longest first: by files, each would start a service for either database.
SHARED = (
    *("tests/cluster/", "tests/flows/", "tests/workers/"),
    *(f"tests/service/{room}/" for room in ("downloads", "access", "dispatch", "api", "insight", "tape", "http")),
    *("tests/stack/", "tests/attacks/", "tests/peers/", "tests/methods/"),
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
    """Mark what starts a hub, and show what is the same by any database with one: the records' own tests have both."""
    for item in items:
        if "running_hub" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.hub)
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


class MariaDB:
    """A MariaDB server of our own; it dies with the tests, however they end."""

    def __init__(self, folder: Path) -> None:
        self.datadir = folder / "data"
        self.log = folder / "mariadb.log"
        self.port = free_port()
        self._as_root = ["--user=root"] if os.geteuid() == 0 else []
        self._process: subprocess.Popen[bytes] | None = None
        options = ["--no-defaults", f"--datadir={self.datadir}", *self._as_root]
        normal = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run([str(INSTALL), *options, *normal], check=True, capture_output=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"--datadir={self.datadir}", f"--port={self.port}", "--bind-address=127.0.0.1", *self._as_root]
        # The socket's address may have 107 bytes at most (unix(7)): name it from the server's own folder.
        command = [str(SERVER), "--no-defaults", *options, "--socket=m.sock", "--innodb-flush-log-at-trx-commit=2"]
        dies_with_us = ["setpriv", "--pdeathsig", "TERM", "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*dies_with_us, *command], stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                self.execute("SELECT 1")
            except pymysql.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"MariaDB did not start: {self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop the server; its data stay."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def execute(self, statement: str) -> None:
        """Run one statement as the server's root."""
        with closing(pymysql.connect(host="127.0.0.1", port=self.port, user="root")) as connection:
            connection.cursor().execute(statement)
            connection.commit()

    def create_database(self) -> str:
        """Return the URL of a fresh, empty database, with the server's own default collation."""
        name = f"stager_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}"


def _run_mariadb(folder: Path) -> Iterator[MariaDB]:
    if not (INSTALL and SERVER and shutil.which("setpriv")):
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
