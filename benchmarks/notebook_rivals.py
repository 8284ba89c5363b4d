"""What brings data to a notebook server, each in a process of its own: ours, and what a person would write.

``python -m benchmarks.notebook_rivals NAME SOURCE DESTINATION`` prints as JSON what one took. Where the hub and the
notebook server are, and the tokens for them, is in the environment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx
from pydantic import SecretStr

from stager.engine import Control, Expected, Modes
from stager.methods import Item
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_path import notebook_path
from stager.paths import locate
from stager.peers.jupyter import HubConnection
from stager.vocabulary import OnConflict

USER = "alice"
PIECE_BYTES = 4 << 20


def ours(source: Path, destination: str) -> None:
    """Do what a flow does for a batch of one item, its kernel's start and end with it."""
    hub = os.environ["BENCHMARK_HUB"]
    control = Control(lambda _bytes, _files: None, threading.Event())
    item = Item(
        source=locate(source.parent, source.name),
        source_seen_at=source.parent,
        destination=notebook_path(destination, hub=hub, username=USER),
        modes=Modes(file=0o400, directory=0o500, folder=0o700),
        on_conflict=OnConflict.SKIP_IDENTICAL,
        expected=Expected(),
        last_copy=None,
    )
    connection = HubConnection(url=hub, token=SecretStr(os.environ["BENCHMARK_HUB_TOKEN"]))
    with JupyterCopy().connected(connection, None) as method:
        method.reach([item.destination], on_wait=lambda _: None, check=lambda: None)
        survey = method.check_source(item)
        method.check_duplicate(item, survey, on_file=lambda _: None, control=control)
        staged = method.transfer(item, survey, known=None, on_file=lambda _: None, control=control)
        method.set_read_only(item, staged)
        published = method.publish(item, staged, confirm=lambda: None)
    if published.left_writable:
        raise RuntimeError(published.left_writable)


def loop(source: Path, destination: str) -> None:
    """Send pieces of a file, or the files of a tree, one after the other: no checksum, no rename, no modes."""
    with _client() as client:
        if source.is_file():
            _send_pieces(client, source, destination)
            return
        for folder, folders, files in os.walk(source):
            folders.sort()
            there = "/".join((destination, *Path(folder).relative_to(source).parts))
            client.put(there, json={"type": "directory"}).raise_for_status()
            for name in sorted(files):
                client.put(f"{there}/{name}", json=_model(Path(folder, name).read_bytes())).raise_for_status()


def at_once(source: Path, destination: str) -> None:
    """Send a file as the demo does: in one JSON body."""
    with _client() as client:
        client.put(destination, json=_model(source.read_bytes())).raise_for_status()


RIVALS: dict[str, Callable[[Path, str], None]] = {"ours": ours, "loop": loop, "at once": at_once}


def _client() -> httpx.Client:
    headers = {"Authorization": f"Bearer {os.environ['BENCHMARK_SERVER_TOKEN']}"}
    base = f"{os.environ['BENCHMARK_SERVER']}api/contents/"
    return httpx.Client(base_url=base, headers=headers, timeout=600)


def _send_pieces(client: httpx.Client, source: Path, destination: str) -> None:
    left = source.stat().st_size
    with source.open("rb") as file:
        for number, piece in enumerate(iter(lambda: file.read(PIECE_BYTES), b""), start=1):
            left -= len(piece)
            body = _model(piece) | {"chunk": number if left else -1}
            client.put(destination, json=body).raise_for_status()


def _model(content: bytes) -> dict[str, object]:
    return {"type": "file", "format": "base64", "content": b64encode(content).decode()}


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    name, source, destination = sys.argv[1:]
    before, began = _peak(), time.perf_counter()
    RIVALS[name](Path(source), destination)
    print(json.dumps({"seconds": time.perf_counter() - began, "bytes": _peak() - before}))
