"""A warm worker as an operator starts it, against a Prefect server as `make up` starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import psutil
import pytest

from tests import prefect_password
from tests.forked import Forked
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.prefect_database import give_database
from tests.tls import TRUSTED

CHECKOUT = Path(__file__).parents[2]
T = TypeVar("T")


def eventually(holds: Callable[[], T | bool | None], *, patience: float = PATIENCE) -> T:
    """Return what is asked for as soon as it is there."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return cast("T", found)


@dataclass
class Prefect:
    """A Prefect server, and what the tests ask of it."""

    url: str
    home: Path
    process: subprocess.Popen[bytes] | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{CHECKOUT}:{Path(__file__).parent}",
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_API_PORT": self.url.rpartition(":")[2],
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.2",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "0",
            "DO_NOT_TRACK": "1",
            **prefect_password.VARIABLES,
            "STAGER_READY_PROCESSES": "2",
            **self.options,
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "deployments.prefect_server"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        eventually(self._is_up)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health", verify=TRUSTED).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def ask(self, verb: str, path: str, **body: object) -> Any:
        answer = httpx.request(
            verb,
            f"{self.url}/api{path}",
            json=body or None,
            auth=prefect_password.AUTH,
            timeout=PATIENCE,
            verify=TRUSTED,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


@dataclass
class Pool:
    """A work pool of one test, its deployments and its worker."""

    prefect: Prefect
    folder: Path
    name: str
    eventually = staticmethod(eventually)

    def deploy(self, flow: str, *, queue: str = "default", **said: object) -> str:
        """Return the id of a deployment of one of the sample flows, or of whatever else is said of it."""
        flow_id = self.prefect.ask("POST", "/flows/", name=flow.replace("_", "-"))["id"]
        ours = {"name": f"{self.folder.name}-{queue}", "entrypoint": f"sample_flows.{flow}", "pull_steps": []}
        pool = {"work_pool_name": self.name, "work_queue_name": queue}
        return str(self.prefect.ask("POST", "/deployments/", flow_id=flow_id, **pool, **(ours | said))["id"])

    def queue(self, name: str, **options: object) -> None:
        self.prefect.ask("POST", f"/work_pools/{self.name}/queues", name=name, **options)

    def run(self, deployment: str, **options: object) -> str:
        body = {"parameters": {"folder": str(self.folder)}, **options}
        return str(self.prefect.ask("POST", f"/deployments/{deployment}/create_flow_run", **body)["id"])

    def state(self, run: str) -> dict[str, Any]:
        state: dict[str, Any] = self.prefect.ask("GET", f"/flow_runs/{run}")["state"]
        return state

    def ended(self, run: str) -> dict[str, Any]:
        """Return a run's final state as soon as it has one."""
        final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        return eventually(lambda: (state := self.state(run))["type"] in final and state)

    def log(self, event: str) -> list[dict[str, Any]]:
        path = self.folder / "log.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line["event"] == event]

    def started(self, count: int = 1) -> list[dict[str, Any]]:
        return eventually(lambda: len(found := self.log("started")) >= count and found)

    def go(self) -> None:
        """Let the runs that wait end."""
        (self.folder / "go").touch()

    @contextmanager
    def worker(
        self, *options: str, command: tuple[str, ...] | None = None, kind: str = "warm", **environment: str
    ) -> Iterator[Worker]:
        """Run a worker until the end of the block; whatever it has left behind is ended too.

        That of the sample flows need not start from scratch, as one by a command of its own does.
        """
        arguments = ["worker", "start", "--pool", self.name, "--type", kind, "--name", "w", *options]
        with tempfile.TemporaryDirectory() as temporary:  # what is killed leaves its own temporary folders
            env, path = {**self.prefect.environment, "TMPDIR": temporary, **environment}, self.folder / "worker.log"
            path.touch()
            process: subprocess.Popen[bytes] | Forked
            if command is None:
                process = Forked("sample_worker", arguments, env=env, log=path, cwd=self.folder)
            else:
                with path.open("ab") as log:
                    process = subprocess.Popen(
                        [sys.executable, *command, *arguments], env=env, stdout=log, stderr=log, cwd=self.folder
                    )
            worker = Worker(psutil.Process(process.pid), process, self)
            try:
                eventually(lambda: "started!" in worker.output)
                yield worker
            finally:
                worker.clean_up()


@dataclass
class Worker:
    """A running worker and the processes that it has made."""

    self_: psutil.Process
    process: subprocess.Popen[bytes] | Forked
    pool: Pool

    @property
    def output(self) -> str:
        return (self.pool.folder / "worker.log").read_text()

    def family(self) -> list[psutil.Process]:
        """Return the worker's processes: itself, the fork server and the children."""
        return [self.self_, *self.self_.children(recursive=True)]

    def fork_server(self) -> psutil.Process:
        """Return the worker's child that has the most children, once it has a child."""
        return eventually(self._most_children)

    def _most_children(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):  # one that ends in between
            return max(self.self_.children(), key=lambda process: len(process.children()), default=None)
        return None

    def ready(self, count: int) -> list[psutil.Process]:
        """Return the children once there are as many."""
        return eventually(lambda: len(found := self.fork_server().children()) >= count and found)

    def at_rest(self) -> tuple[int, ...] | None:
        """Return what an idle worker holds: processes, descriptors, threads; None while it is busy."""
        server = self.fork_server()
        if len(server.children()) != int(self.pool.prefect.environment["STAGER_READY_PROCESSES"]):
            return None
        return len(self.family()), self.self_.num_fds(), self.self_.num_threads(), server.num_fds()

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def clean_up(self) -> None:
        family = self.family() if self.process.poll() is None else []
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(PATIENCE)


def new_prefect(tmp_path_factory: pytest.TempPathFactory) -> Prefect:
    """Return a server that has not started yet."""
    home = tmp_path_factory.mktemp("prefect")
    give_database(home)
    return Prefect(f"http://127.0.0.1:{free_port()}", home)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """The session's Prefect server: leave it running."""
    server = new_prefect(tmp_path_factory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def new_pool(server: Prefect, folder: Path) -> Pool:
    """Make a work pool with the template that its first worker gives it."""
    pool = Pool(server, folder, f"pool-{uuid.uuid4().hex[:8]}")
    server.ask("POST", "/work_pools/", name=pool.name, type="warm")
    return pool


@pytest.fixture
def pool(prefect_server: Prefect, tmp_path: Path) -> Pool:
    """A work pool of the test's own."""
    return new_pool(prefect_server, tmp_path)


@pytest.fixture(scope="module")
def worker(prefect_server: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that serves all runs of this file."""
    with new_pool(prefect_server, tmp_path_factory.mktemp("worker")).worker() as started:
        yield started


@pytest.fixture
def pool_without_events(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Pool]:
    """A work pool of a server that sends no events."""
    server = new_prefect(tmp_path_factory)
    server.options["PREFECT_SERVER_EVENTS_STREAM_OUT_ENABLED"] = "false"
    try:
        server.start()
        yield new_pool(server, tmp_path)
    finally:
        server.stop()
