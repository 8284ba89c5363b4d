"""Very many small files, each an item of one request, beside the same files as one product and beside rivals.

``python -m benchmarks.bulk`` (as root) runs the whole stack, its areas in memory, once with
the records in SQLite and once in MariaDB, where that is installed, and writes
``docs/reference/speed/bulk.md``. All take turns in one run.

``python -m benchmarks.bulk --items 1000000 --kill`` also kills the worker, Prefect's server
and the database while the first request is done, and writes ``docs/reference/speed/million-items.md``.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from benchmarks.bulk_figures import ITEMS, PRODUCT, Measured, figures
from benchmarks.figures_page import write_figures
from benchmarks.rivals import Copy, copying, ours_one_by_one, remove
from benchmarks.sources import make_tree
from benchmarks.stack import FILE_BYTES, Stack, stack, until
from benchmarks.watched import Watch, folder_bytes
from stager.records.requests import get_request
from stager.records.tables import StagingRequestRow
from tests.mariadb import MariaDB, is_installed

PAGES = Path(__file__).parents[1] / "docs/reference/speed"
USER, ANOTHER = 0, 1
PER_FOLDER = 1000
IDLE_REQUESTS = 15
ALONE = {"ours": "the mover alone, as one tree"}
RIVALS = ("ours", "`cp -r`", "`rclone copy`")
JSON_LINES = {"Content-Type": "application/x-ndjson"}


@dataclass(frozen=True)
class Records:
    """Where the records are: their name, how large they are, and how they are killed and started again."""

    name: str
    size_bytes: Callable[[Stack], int]
    url: str | None = None
    restart: Callable[[], None] | None = None


@contextmanager
def sqlite() -> Iterator[Records]:
    """Give records in SQLite, in the stack's own folder."""
    yield Records("SQLite", lambda made: folder_bytes(made.settings.state))


@contextmanager
def mariadb() -> Iterator[Records]:
    """Give records in a MariaDB of our own."""
    with tempfile.TemporaryDirectory() as name:
        server = MariaDB(Path(name))
        server.start()

        def restart() -> None:
            server.kill()
            server.start()

        try:
            url = server.create_database()
            folder = server.datadir / url.rpartition("/")[2]
            yield Records("MariaDB", lambda _: folder_bytes(folder), url, restart)
        finally:
            server.stop()


def measure(records: Records, options: argparse.Namespace) -> Measured:
    """Return what all take, in turns, with one kind of records."""
    with (
        tempfile.TemporaryDirectory(dir=options.memory) as name,
        stack("warm", areas=Path(name), database_url=records.url) as made,
    ):
        tree = make_tree(
            made.settings.storage / "survey", files=options.items, size_bytes=FILE_BYTES, per_folder=PER_FOLDER
        )
        measured = Measured(records.name)
        _others(made, measured.idle, lambda: len(measured.idle) == IDLE_REQUESTS)
        for turn in range(options.rounds):
            _note(measured, ITEMS, options.items, _items(made, records, measured, options, turn=turn))
            copies = made.settings.user_areas / f"user{USER}"
            measured.whole += sum(path.stat().st_size == FILE_BYTES for path in copies.glob(f"items-{turn}/*/*"))
            remove(copies / f"items-{turn}")  # a million files take room
            _note(measured, PRODUCT, options.items, _product(made, turn))
            remove(copies / f"product-{turn}")
            for rival, copy in _rivals(tree).items():
                _note(measured, rival, options.items, _copied(copy, tree, Path(name) / f"copy-{turn}"))
    return measured


def _note(measured: Measured, what: str, count: int, seconds: float) -> None:
    measured.rates.setdefault(what, []).append(count / seconds)
    print(f"{measured.records}, {what}: {count / seconds:,.0f} files/s", flush=True)


def _rivals(tree: Path) -> dict[str, Copy]:
    found = {ALONE.get(name, name): copy for name, copy in copying(tree).items() if name in RIVALS}
    return {"the mover alone, an item each": ours_one_by_one, **found}


def _copied(copy: Copy, tree: Path, destination: Path) -> float:
    began = time.perf_counter()
    copy(tree, destination)
    seconds = time.perf_counter() - began
    remove(destination)
    return seconds


def _items(made: Stack, records: Records, measured: Measured, options: argparse.Namespace, *, turn: int) -> float:
    """Ask for each file as an item, and return the seconds from the answer to the closed record; watch the first."""
    url, terms = f"{made.http}/requests/from-manifest", {"method": "local_copy", "username": f"user{USER}"}
    answer = httpx.post(url, params=terms, content=_lines(options.items, turn), headers=JSON_LINES, timeout=3600)
    accepted, request_id = time.time(), str(answer.raise_for_status().json()["request_id"])
    watched = Watch(made, request_id, options.every, lambda: records.size_bytes(made))
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(_others, made, measured.meanwhile, is_over.is_set)
        try:
            with watched:
                if options.kill and turn == 0:
                    _kill(made, records, watched, measured, options.items)
                row = until(partial(_closed, made, request_id), patience=24 * 3600, pause=0.05)
        finally:
            is_over.set()
        other.result()
    measured.watch = measured.watch or watched
    return _ended(row) - accepted


def _lines(count: int, turn: int) -> Iterator[bytes]:
    for start in range(0, count, PER_FOLDER):
        numbers = range(start, min(start + PER_FOLDER, count))
        paths = [f"{start // PER_FOLDER:04}/{number:07}" for number in numbers]
        yield "".join(f'{{"source":"survey/{path}","destination":"items-{turn}/{path}"}}\n' for path in paths).encode()


def _kill(made: Stack, records: Records, watched: Watch, measured: Measured, count: int) -> None:
    """Kill a part after each quarter of the items, and start it again."""
    parts: dict[str, Callable[[], None]] = {
        "worker": partial(_restart, made, "worker", made.start_worker),
        "Prefect's server": partial(_restart, made, "server", made.start_server),
        **({"database": records.restart} if records.restart else {}),
    }
    for number, (name, restart) in enumerate(parts.items(), start=1):
        until(lambda: watched.looks and watched.looks[-1].items >= number * count // 4, patience=24 * 3600)  # noqa: B023
        measured.killed[name] = watched.seconds()
        restart()


def _restart(made: Stack, name: str, start: Callable[[], None]) -> None:
    made.kill(name)
    start()


def _product(made: Stack, turn: int) -> float:
    form = {
        "method": "local_copy",
        "username": f"user{USER}",
        "items": [{"source": "survey", "destination": f"product-{turn}"}],
    }
    answer = httpx.post(f"{made.http}/requests", json=form, timeout=60).raise_for_status()
    accepted = time.time()
    closed = partial(_closed, made, str(answer.json()["request_id"]))
    return _ended(until(closed, patience=24 * 3600, pause=0.05)) - accepted


def _closed(made: Stack, request_id: str) -> StagingRequestRow | None:
    row = get_request(made.database, request_id)
    return row if row.status.is_final else None


def _ended(row: StagingRequestRow) -> float:
    if row.status != "completed" or row.finished_at is None:
        message = f"{row.id} ended as {row.status}: {row.error_reason}"
        raise RuntimeError(message)
    return row.finished_at.timestamp()


def _others(made: Stack, seconds: list[float], is_over: Callable[[], bool]) -> None:
    """Add how long a file of another user takes, one a second, until it is over."""
    with httpx.Client(timeout=600) as client:
        for number in range(10**6):
            began = time.time()
            with suppress(httpx.HTTPError):  # it met a kill
                row = made.ended(made.stage(client, ANOTHER, f"other/{began}-{number}"))
                seconds.append(_ended(row) - began)
            if is_over():
                return
            time.sleep(1)


def main() -> None:
    """Measure, print, and write between the marks of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks at the first request")
    parser.add_argument("--kill", action="store_true", help="kill worker, server and database in the first request")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="folder on tmpfs")  # noqa: S108
    parser.add_argument("--page", type=Path, help="another page with the marks of figures")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the mover alone has a batch's files open
    measured = []
    for opened in (sqlite, mariadb) if is_installed() else (sqlite,):
        with opened() as records:
            measured.append(measure(records, options))
    images = "million-items" if options.kill else "bulk"
    page = options.page or PAGES / f"{images}.md"
    write_figures(page, figures(measured, options, load=load, plots=page.parent / images))


if __name__ == "__main__":
    main()
