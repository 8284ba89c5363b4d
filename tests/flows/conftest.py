"""Flows in processes of their own, as a worker starts them, against a real Prefect and a real database."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlmodel import col

from stager.models import StagingItem, StagingRequest, Status
from stager.records.cutting import ShardLimits
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.requests import create_request, get_request
from stager.records.tables import Shard, StagedFile, StagingRequestRow
from stager.vocabulary import Expand, OnConflict
from tests.ask_prefect import ask_prefect
from tests.forked import ALL, LIBRARIES, Forked
from tests.open_prefect import open_prefect
from tests.patience import PATIENCE
from tests.records_database import give_records

CHECKOUT = Path(__file__).parents[2]
STEPS = ["check source", "check duplicate", "transfer", "set read-only"]
# What a worker's process does with the flow run that it is given.
RUN = """
import importlib, sys
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
name, flow_run_id = sys.argv[1:]
given = get_client(sync_client=True).read_flow_run(UUID(flow_run_id))
function = f"{name}_from_api" if list(given.parameters) == ["request_ids"] else name
flow = getattr(importlib.import_module(f"flows.{name}"), function)
state = run_flow(flow, flow_run=given, parameters=given.parameters, return_type="state")
print(state.name, state.message, sep=": ")
"""

Running = subprocess.Popen[str] | Forked


@dataclass(frozen=True)
class Site:
    """Two storage areas, and the records of what is staged between them."""

    folder: Path
    database_url: str
    prefect_api: str
    settings: dict[str, str] = field(default_factory=dict)
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "database", Database(self.database_url, patience=20))

    @property
    def users(self) -> Path:
        return self.folder / "users"

    def request(
        self,
        *items: tuple[str, str],
        method: str = "local_copy",
        username: str = "alice",
        source_area: str = "source",
        to: str = "user",
        on_conflict: OnConflict = OnConflict.SKIP_IDENTICAL,
        is_bounded: bool = False,
        checksum: str | None = None,
        limits: ShardLimits | None = None,
        expand: Expand | None = None,
    ) -> str:
        wanted = tuple(
            StagingItem(source=source, destination=destination, checksum=checksum, expand=expand)
            for source, destination in items
        )
        request = StagingRequest(
            method=method,
            username=username,
            items=wanted,
            source_area=source_area,
            destination_area=to,
            on_conflict=on_conflict,
        )
        return create_request(self.database, request, is_bounded=is_bounded, limits=limits).id

    def files(self, request_id: str) -> list[StagedFile]:
        return list(files_of(self.database, request_id))

    def statuses(self, request_ids: Sequence[str]) -> list[Status]:
        return [get_request(self.database, request_id).status for request_id in request_ids]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "PREFECT_API_URL": self.prefect_api,
            "PREFECT_HOME": str(self.folder),
            "SOURCE_STORAGE_PATH": str(self.folder / "storage"),
            "STAGER_AREA_ROOTS": '["/"]',
            "TARGET_STORAGE_PATH": str(self.users),
            "STAGER_DATABASE_URL": self.database_url,
            "STAGER_USERS_FILE": str(self.folder / "users.toml"),
            **self.settings,
        }

    def forked(self, program: str, *arguments: str) -> Forked:
        """Start a program, which may change something of ours before it imports the rest."""
        return Forked(program, arguments, env=self.environment, preloaded=ALL if program == RUN else LIBRARIES)

    def python(self, program: str, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a program from scratch."""
        command, pipe = [*prefix, sys.executable, "-c", program, *arguments], subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, flow: str, *request_ids: str, prefix: Sequence[str] = (), before: str = "") -> tuple[str, str]:
        """Return a run's final state in words, and its log; something may be done in its process before."""
        with self.running(flow, *request_ids, prefix=prefix, before=before) as process:
            return self.ended(process)

    @staticmethod
    def ended(process: Running) -> tuple[str, str]:
        out, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
        return out.strip(), log

    @staticmethod
    def eventually(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @contextmanager
    def running(self, flow: str, *request_ids: str, prefix: Sequence[str] = (), before: str = "") -> Iterator[Running]:
        """Execute a flow run that was asked for as the dispatcher does."""
        with self.executing(before + RUN, flow, self.flow_run(flow, *request_ids), prefix=prefix) as process:
            yield process

    @contextmanager
    def executing(self, program: str, *arguments: str, prefix: Sequence[str] = ()) -> Iterator[Running]:
        """Run a program until the end of the block."""
        with self.python(program, *arguments, prefix=prefix) if prefix else self.forked(program, *arguments) as process:
            try:
                yield process
            finally:
                with suppress(psutil.NoSuchProcess):
                    for traced in psutil.Process(process.pid).children(recursive=True):
                        traced.kill()  # it would outlive its strace
                process.kill()

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        return ask_prefect("POST", f"{self.prefect_api}/{path}", body)

    def flow_run(self, flow: str, *request_ids: str) -> str:
        """Claim requests for a flow run that nobody executes yet, ask Prefect for it, and return its id."""
        key = uuid.uuid4().hex
        of_requests = update(StagingRequestRow).where(col(StagingRequestRow.id).in_(request_ids))
        of_shards = update(Shard).where(col(Shard.request_id).in_(request_ids))

        def claim(session: Session) -> None:
            for theirs in (of_requests, of_shards):
                session.execute(theirs.values(run_key=key))

        self.database.write(claim)
        return self.asked_for(flow, {"request_ids": request_ids} if request_ids else {}, idempotency_key=key)

    def asked_for(self, flow: str, parameters: dict[str, Any], **more: Any) -> str:
        """Return the id of a flow run that anybody could ask Prefect for."""
        flow_id = self.ask("flows/", {"name": flow.replace("_", "-")})["id"]
        return str(self.ask("flow_runs/", {"flow_id": flow_id, "parameters": parameters, **more})["id"])

    def task_runs(self, request_id: str, count: int) -> list[tuple[str, int]]:
        """Return the steps that the run of a request made, and how often each was tried, once so many have ended.

        Prefect writes down what its task runs tell it some time after they do.
        """
        flow_run_id = get_request(self.database, request_id).flow_run_id
        wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        runs: list[dict[str, Any]] = []

        def have_ended() -> bool:
            runs[:] = self.ask("task_runs/filter", wanted)
            return sum(run["state_type"] in {"COMPLETED", "FAILED"} for run in runs) >= count

        self.eventually(have_ended)
        return [(run["name"][: -len("-abc")], run["run_count"]) for run in runs]

    def artifacts(self, request_id: str) -> list[dict[str, Any]]:
        """Return what the run of a request shows in Prefect's pages."""
        flow_run_id = get_request(self.database, request_id).flow_run_id
        if flow_run_id is None:
            return []
        found: list[dict[str, Any]] = self.ask(
            "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}}
        )
        return found


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server of our own."""
    with open_prefect(tmp_path_factory.mktemp("prefect")) as api:
        yield api


@contextmanager
def site_of(folder: Path, database_url: str, prefect_api: str, **settings: str) -> Iterator[Site]:
    """Make a site that any account can reach."""
    for shared in (folder, folder / "storage", folder / "users", folder / "projects"):
        shared.mkdir(exist_ok=True)
        shared.chmod(0o777)
    (folder / "storage/a.fits").write_bytes(b"SIMPLE  =                    T")
    users = "".join(f"[users.{user}]\nuid = {os.geteuid()}\ngid = {os.getegid()}\n" for user in ("alice", "bob"))
    (folder / "users.toml").write_text(users)
    give_records(database_url)
    for file in folder.glob("records.db*"):
        file.chmod(0o666)
    site = Site(folder, database_url, prefect_api, settings)
    with closing(site.database):
        yield site


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def site(request: pytest.FixtureRequest, prefect_api: str) -> Iterator[Site]:
    """A site on either database."""
    with tempfile.TemporaryDirectory() as name:
        is_sqlite = request.param == "sqlite"
        url = f"sqlite:///{name}/records.db" if is_sqlite else request.getfixturevalue("mariadb_database")
        with site_of(Path(name), url, prefect_api) as made:
            yield made
