from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.patience import PATIENCE
from tests.ports import NO_PREFECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.service.conftest import ServedDoor
    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

CLIENTS = 1000
SIZE = 64 * 1024 * 1024
MIB = 1024 * 1024
# What each may cost in the door's own memory: the server's buffers for one connection.
LIMIT_EACH = MIB


def test_a_thousand_clients_that_do_not_read_hold_neither_threads_nor_memory(shelf: Shelf) -> None:
    file = shelf.sparse("waited-for", SIZE)
    request = f"GET {shelf.address(file.name)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    before, threads = memory_of(shelf), threads_of(shelf)
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(shelf)) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(request)
        for client in clients:
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        held = memory_of(shelf) - before
        page = shelf.door.client.get("/requests", params={"method": "direct_download", "status": "started"}).json()
        whole = shelf.get(shelf.put("beside-the-slow", shelf.content(3 * MIB)))
        wait_until(lambda: threads_of(shelf) < threads + 100)

    assert len(page["requests"]) == 100
    assert whole.content == shelf.content(3 * MIB)
    assert held < CLIENTS * LIMIT_EACH
    shelf.record(file.name, lambda row: row["status"] == "cancelled")


def test_who_has_too_many_downloads_open_is_told_to_wait(
    serve: Callable[..., AbstractContextManager[ServedDoor]], open_path: Path
) -> None:
    where = {"database_url": f"sqlite:///{open_path}/records.db", "prefect_api": NO_PREFECT}
    with serve(open_path, **where, STAGER_MAX_OPEN_REQUESTS="2") as door, ExitStack() as stack:
        for name, size in (("large", SIZE), ("small", 10)):
            with (door.source / name).open("wb") as stream:
                stream.truncate(size)
        get = door.client.get
        held = []
        for _ in range(2):
            slow = stack.enter_context(door.client.stream("GET", "/files/source/large?username=alice"))
            held.append(slow.iter_raw(1000))  # a body that nobody holds is closed
            next(held[-1])
        refused, small, anonymous = (
            get("/files/source/large?username=alice"),
            get("/files/source/small?username=alice"),
            get("/files/source/large"),
        )
        slow.close()
        wait_until(lambda: get("/files/source/large?username=alice").status_code == 200)

    assert (refused.status_code, small.status_code, anonymous.status_code) == (429, 200, 200)
    assert int(refused.headers["retry-after"]) > 0


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when something holds: the server keeps the threads of a rush for some seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def connected(shelf: Shelf) -> socket.socket:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(240)
    client.connect(("127.0.0.1", int(shelf.door.url.rpartition(":")[2])))
    return client


def memory_of(shelf: Shelf) -> int:
    """Return what the door holds for itself, in bytes: not the pages of files that are mapped or in pipes."""
    status = Path(f"/proc/{shelf.door.worker()}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def threads_of(shelf: Shelf) -> int:
    return len(list(Path(f"/proc/{shelf.door.worker()}/task").iterdir()))
