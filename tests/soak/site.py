"""What a soak runs on: the stack of `make up` in a folder of its own, with users and things to stage."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from deployments.local.supervisor_client import ProgramStatus, reports
from stager.records.database import Database
from tests.mariadb import MariaDB
from tests.open_folder import open_folder
from tests.patience import PATIENCE
from tests.stack.conftest import OnlyPrefect, Stack, end, give_prefect, launch, wait_until_ready

USERS = tuple(f"soak{number}" for number in range(6))
LARGE = "large.bin"
SMALL_FILES, SMALL_BYTES, PER_FOLDER = 2000, 4096, 100
LARGE_BYTES = 32 << 20
# What a killed service was sending is closed after two of these: the end of a soak waits for that.
LEASE_SECONDS = 30


@dataclass(frozen=True)
class Site:
    """A running stack, its records, and the content of each source by its path."""

    stack: Stack
    records: Database
    mariadb: MariaDB | None
    sources: dict[str, bytes]
    seen: set[psutil.Process] = field(default_factory=set)

    @property
    def small(self) -> list[str]:
        """The paths of the small sources."""
        return [path for path in self.sources if path != LARGE]

    @property
    def database(self) -> str:
        """What the records are in."""
        return "MariaDB" if self.mariadb else "SQLite"

    @property
    def temporary(self) -> Path:
        """The folder for what its programs need for a while."""
        return self.stack.folder / "tmp"

    def parts(self) -> dict[str, ProgramStatus]:
        """Return the status of each part by its name."""
        return reports(self.stack.closed / "supervisor.sock")

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the stack, and keep in mind that they were seen."""
        found: list[psutil.Process] = psutil.Process(self.stack.launcher.pid).children(recursive=True)
        self.seen.update(found)
        return found


def uid_of(username: str) -> int:
    """Return whose a user's files are: a service that is not root has one account, its own."""
    return 70_000 + USERS.index(username) if os.geteuid() == 0 else os.geteuid()


@contextmanager
def running_site(rng: random.Random, *, with_mariadb: bool) -> Iterator[Site]:
    """Give a running site, and stop all of it at the end."""
    with ExitStack() as ending:
        folder = ending.enter_context(open_folder())
        sources = make_sources(folder / "storage", rng)
        (folder / "users.toml").write_text("".join(map(_account, USERS)))
        (folder / "tmp").mkdir()
        mariadb = ending.enter_context(_running_mariadb(folder)) if with_mariadb else None
        url = mariadb.create_database() if mariadb else f"sqlite:///{folder}/state/records.db"
        stack = ending.enter_context(_running_stack(folder, url))
        records = Database(url, patience=PATIENCE)
        ending.callback(records.close)
        yield Site(stack, records, mariadb, sources)


def make_sources(storage: Path, rng: random.Random) -> dict[str, bytes]:
    """Write what is staged: many small files in some folders, and a large one; return each by its path."""
    sources = {
        f"survey/{number // PER_FOLDER:03}/{number:06}": rng.randbytes(SMALL_BYTES) for number in range(SMALL_FILES)
    }
    sources[LARGE] = rng.randbytes(LARGE_BYTES)
    storage.mkdir(mode=0o755)
    for path, content in sources.items():
        (storage / path).parent.mkdir(parents=True, exist_ok=True)
        (storage / path).write_bytes(content)
    return sources


def _account(username: str) -> str:
    gid = 70_000 if os.geteuid() == 0 else os.getegid()
    return f"[users.{username}]\nuid = {uid_of(username)}\ngid = {gid}\n"


@contextmanager
def _running_mariadb(folder: Path) -> Iterator[MariaDB]:
    (folder / "mariadb").mkdir()
    server = MariaDB(folder / "mariadb")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _running_stack(folder: Path, database_url: str) -> Iterator[Stack]:
    variables = {
        "STAGER_DATABASE_URL": database_url,
        "STAGER_LEASE": str(LEASE_SECONDS),
        "STAGER_USERS_FILE": str(folder / "users.toml"),
        "STAGER_WAIT": "0",
        "TMPDIR": str(folder / "tmp"),
    }
    give_prefect(folder)
    launcher, port, prefect_port = launch(folder, log := folder / "console.log", **variables)
    auth = OnlyPrefect(prefect_port, folder / "state/prefect-password")
    try:
        wait_until_ready(launcher, log)
        with httpx.Client(timeout=PATIENCE, auth=auth, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            yield Stack(folder, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{prefect_port}", launcher, client)
    finally:
        end(launcher)
