"""A request of very many items: how long it takes to take in, what memory that needs, and what others notice.

Run it with ``python -m benchmarks.large_requests``. It serves the HTTP door alone,
on SQLite in a temporary folder or at ``--database-url``, uploads a manifest and
reads the request as a run would. Then it stages a smaller one from end to end
by all of ``make up``, while another user asks for a file now and then. The
tables go into ``docs/reference/speed/large-requests.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server

import httpx
import psutil

from benchmarks.stack import FILE_BYTES, USERS, Stack, stack, until
from stager.records.database import Database
from stager.records.items import files_of
from stager.records.migrate import migrate
from stager.records.requests import get_request, start_requests
from stager.records.runs import FairShare, claim_run_group, note_flow_run
from stager.records.shards import shards_of
from stager.runs.batch_size import BATCH_SIZE

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs/reference/speed/large-requests.md"
TERMS = {"method": "local_copy", "username": "user0"}
CSV = {"Content-Type": "text/csv"}
ANOTHER = 1  # a user who asks for a file now and then


def lines(count: int) -> Iterator[bytes]:
    """Give a manifest of so many items, some thousand at a time."""
    yield b"source,destination,checksum,size_bytes\n"
    for start in range(0, count, 5000):
        numbers = range(start, min(start + 5000, count))
        yield b"".join(
            b"survey/field-%06d/image-%07d.fits,survey/%07d.fits,%08x,%d\n" % (n // 1000, n, n, n, n) for n in numbers
        )


@dataclass
class Witness:
    """What others notice meanwhile: the service's memory, and how soon it answers."""

    url: str
    pid: int
    rss: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Look until it is done."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self.done.wait(0.1):
                began = time.perf_counter()
                client.get("/requests", params={"limit": 1}).raise_for_status()
                self.seconds.append(time.perf_counter() - began)
                self.rss.append(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def served(folder: Path, database_url: str) -> Iterator[tuple[str, int]]:
    """Serve a door; give its address and the process that serves."""
    account = f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
    users = (f"[users.user{number}]\n{account}" for number in range(USERS))
    (folder / "users.toml").write_text("".join(users))
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "STAGER_DATABASE_URL": database_url,
        "STAGER_USERS_FILE": str(folder / "users.toml"),
        "STAGER_LOG_FILE": str(folder / "service.log"),
    }
    options = ("--interface", "asgi", "--factory", "--http", "1", "--port", str(port), "--log-level", "critical")
    command = [sys.executable, "-m", "granian", *options, "stager.app:create_app"]
    with (folder / "console.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url)
        yield url, psutil.Process(process.pid).children()[-1].pid
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/config/")
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def upload(url: str, pid: int, count: int) -> tuple[str, list[tuple[str, str]]]:
    """Return the id of a request of so many items, and what was measured."""
    witness = Witness(url, pid)
    before = psutil.Process(pid).memory_info().rss
    looking = threading.Thread(target=witness.look)
    looking.start()
    began = time.perf_counter()
    answer = httpx.post(f"{url}/requests/from-manifest", params=TERMS, content=lines(count), headers=CSV, timeout=3600)
    seconds = time.perf_counter() - began
    witness.done.set()
    looking.join()
    peak = max(witness.rss)
    return answer.raise_for_status().json()["request_id"], [
        ("taken in, from the first byte to the answer", f"{seconds:.1f} s, {count / seconds:,.0f} items/s"),
        ("the service's memory before, and at most", f"{before / 2**20:.0f} MiB, {peak / 2**20:.0f} MiB"),
        (
            "another call meanwhile (`GET /requests?limit=1`), median and longest",
            f"{statistics.median(witness.seconds) * 1000:.0f} ms, {max(witness.seconds) * 1000:.0f} ms",
        ),
    ]


def read(database: Database, request_id: str) -> list[tuple[str, str]]:
    """Return how long a run takes to take a request up and to read its items batch by batch."""
    (shard, *_) = shards_of(database, [request_id])[request_id]
    claim_run_group(database, FairShare(username=shard.username, method=shard.method, is_next=True), limit=1)
    note_flow_run(database, [request_id], "benchmark", run_key=request_id)
    began = time.perf_counter()
    start_requests(database, [request_id], flow_run_id="benchmark", acting_as="nobody")
    started = time.perf_counter() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, position, batches = time.perf_counter(), None, 0
    while files := files_of(database, request_id, after=position, limit=BATCH_SIZE):
        position, batches = files[-1].position, batches + 1
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [
        ("taken up by a run, in one transaction", f"{started:.1f} s"),
        (f"read by a run in batches of {BATCH_SIZE}", f"{seconds:.1f} s, {batches} batches, memory + {grown:.0f} MiB"),
    ]


def staged(count: int) -> list[tuple[str, str]]:
    """Return how long a request of so many small files takes from its upload to its last copy."""
    with stack("warm") as running:
        for number in range(count):
            file = running.settings.storage / f"survey/{number // 1000:03}/{number:06}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(FILE_BYTES))
        wanted = "".join(f"survey/{n // 1000:03}/{n:06},survey/{n:06}\n" for n in range(count))
        url = f"{running.http}/requests/from-manifest"
        began = time.perf_counter()
        answer = httpx.post(url, params=TERMS, content=f"source,destination\n{wanted}", headers=CSV, timeout=600)
        request_id = str(answer.raise_for_status().json()["request_id"])
        others = [*_others(running, request_id)]
        seconds = time.perf_counter() - began
        status = get_request(running.database, request_id).status
        copies = [*(running.settings.user_areas / "user0/survey").iterdir()]
        arrived = sum(copy.stat().st_size == FILE_BYTES for copy in copies)
    return [
        ("from the upload to its end", f"{seconds:.1f} s, {count / seconds:,.0f} files/s"),
        ("it ended as, and with so many copies of the right size", f"{status}, {arrived:,}"),
        (
            f"a file of another user meanwhile, {len(others)} times: median and longest",
            f"{statistics.median(others):.2f} s, {max(others):.2f} s",
        ),
    ]


def _others(running: Stack, request_id: str) -> Iterator[float]:
    """Give how long each file of another user takes, one a second, until a request has ended."""
    with httpx.Client(timeout=60) as client:
        for number in range(100_000):
            if get_request(running.database, request_id).status.is_final:
                return
            began = time.perf_counter()
            asked = running.stage(client, ANOTHER, f"other/{number}")
            until(lambda asked=asked: get_request(running.database, asked).status.is_final)  # type: ignore[misc]
            yield time.perf_counter() - began
            time.sleep(1)


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--staged", type=int, default=20_000, help="files of the request that is staged to its end")
    parser.add_argument("--database-url", help="by default SQLite in a temporary folder")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        url = arguments.database_url or f"sqlite:///{name}/records.db"
        migrate(url)
        with served(Path(name), url) as (address, pid):
            request_id, rows = upload(address, pid, arguments.items)
        rows += read(Database(url), request_id)
    kind = url.partition(":")[0].partition("+")[0]
    page = HEAD.format(
        items=arguments.items,
        kind=kind,
        cores=os.cpu_count(),
        where=platform.platform(terse=True),
        load=load,
        taken_in=_table(rows),
        count=arguments.staged,
        size=FILE_BYTES // 1024,
        staged=_table(staged(arguments.staged)),
    )
    PAGE.write_text(page)
    print(page)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {what} | {figure} |" for what, figure in rows)


HEAD = """# Speed of large requests

`python -m benchmarks.large_requests` has written this page; {cores} cores, {where}, load {load:.1f} before.

## Taking in {items:,} items

One request, uploaded as CSV over the loopback; records in {kind}; the HTTP service alone.

| what | figure |
|---|---|
{taken_in}

## Staging {count:,} files of {size} KiB, from end to end

One request, uploaded as CSV, by all of `make up` (records in SQLite): runs copy the files of one user, check them, make
them read-only, and record each. Another user asks for one file a second meanwhile.

| what | figure |
|---|---|
{staged}
"""

if __name__ == "__main__":
    main()
