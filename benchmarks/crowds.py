"""What a service still does, and holds, while many clients of its downloads do not read; and what listings take."""

from __future__ import annotations

import os
import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx

CLIENTS, ASKS = 1000, 500
ENTRIES, PAGE, LATER = 100_000, 1000, 10
UNSETTLED = 2.5  # seconds in which a folder that was touched counts as news
CROWDS = (("nothing: there are none", None), ("a file of 1 GiB", "large"), ("a directory as tar", "small"))

Served = tuple[str, int]  # a service's address, and its first process


@contextmanager
def stalled(url: str, path: str) -> Iterator[None]:
    """Hold many clients that have the first bytes of a download, and read no more."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(600)
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET /files/source/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            clients.append(client)
        for client in clients:
            if client.recv(12) != b"HTTP/1.1 200":
                raise RuntimeError(path)
        time.sleep(10)  # until nothing moves
        yield


def beside_them(serve: Callable[[str], AbstractContextManager[Served]]) -> Iterator[str]:
    """Yield a table of what a service takes to answer, and of its memory; each crowd meets a fresh one."""
    yield f"\n### `GET /requests?limit=1` beside {CLIENTS:,} clients that do not read\n"
    yield "| what they wait for | p50 ms | p99 ms | MiB of memory (RSS) | of it not of files (RssAnon) |"
    yield "|---|---|---|---|---|"
    for number, (name, path) in enumerate(CROWDS):
        with ExitStack() as stack:
            url, pid = stack.enter_context(serve(f"crowd-{number}"))
            if path:
                stack.enter_context(stalled(url, path))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=600))
            _milliseconds(client, "/requests", limit=1)
            taken = sorted(_milliseconds(client, "/requests", limit=1) for _ in range(ASKS))
            middle, slowest = taken[ASKS // 2], taken[ASKS * 99 // 100]
            yield f"| {name} | {middle:.1f} | {slowest:.1f} | {_memory(pid, 'VmRSS')} | {_memory(pid, 'RssAnon')} |"


def listing(url: str, folder: Path, rounds: int) -> Iterator[str]:
    """Yield a table of what pages of a large folder take."""
    first, later = [], []
    with httpx.Client(base_url=url, timeout=600) as client:
        _page(client, folder.name)
        for _ in range(rounds):
            os.utime(folder)
            first.append(_page(client, folder.name)[0])
            time.sleep(UNSETTLED)
            _, cursor = _page(client, folder.name)
            for _ in range(LATER):
                seconds, cursor = _page(client, folder.name, cursor)
                later.append(seconds)
    yield f"\n### {PAGE:,} of {ENTRIES:,} entries of a folder\n"
    yield "| | median ms | range |\n|---|---|---|"
    for name, taken in (("first page, after a change", first), ("a later page, without a change", later)):
        yield f"| {name} | {statistics.median(taken):.0f} | {min(taken):.0f} to {max(taken):.0f} |"


def fill(folder: Path) -> None:
    """Make a folder of many entries."""
    folder.mkdir()
    for number in range(ENTRIES):
        (folder / f"image-{number * 7919 % ENTRIES:06}.fits").touch()


def _page(client: httpx.Client, path: str, cursor: str = "") -> tuple[float, str]:
    began = time.perf_counter()
    query = {"path": path, "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
    answer = client.get("/areas/source/entries", params=query).raise_for_status()
    return (time.perf_counter() - began) * 1000, str(answer.json()["next_cursor"])


def _milliseconds(client: httpx.Client, path: str, **query: int) -> float:
    began = time.perf_counter()
    client.get(path, params=query).raise_for_status()
    return (time.perf_counter() - began) * 1000


def _memory(pid: int, kind: str) -> int:
    """Return what the serving process holds, in MiB, by the kernel's name of it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{max(map(int, children))}/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) // 1024
