"""Small files go to a real notebook server together, others several at once, and one kernel does what it has to."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.errors import DestinationTampered, PeerFault
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_bundle import MAX_BUNDLED_BYTES
from stager.mover.answers import Watch
from stager.mover.replies import StepDone
from stager.peers.jupyter import CALLS_AT_ONCE, Contents, HubConnection, start
from stager.runs.sender import Sender
from stager.vocabulary import ManifestEntry
from tests.methods.conftest import Areas
from tests.methods.staging_site import Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import Call, FaultyProxy, cut_on_the_way_in, passed, reset
from tests.peers.running_hub import RunningHub

STEPS = ("check source", "check duplicate", "transfer", "set read-only", "publish")
LARGE = bytes(MAX_BUNDLED_BYTES + 1)


@pytest.fixture
def tree(notebook: Site) -> Path:
    """A directory of small files between large ones."""
    tree = notebook.source / "tree"
    tree.mkdir()
    for number in range(2 * CALLS_AT_ONCE):
        (tree / f"{number:02}").write_bytes(bytes([number]) * 3 if number % 3 else LARGE)
    for made in (tree, *tree.iterdir()):
        made.chmod(0o755)
    return tree


@pytest.fixture
def connection(running_hub: RunningHub, proxy: FaultyProxy) -> HubConnection:
    """The hub, through a proxy that breaks what it is told to."""
    url = proxy.in_front_of(running_hub.url)
    return HubConnection(url=url, token=SecretStr(running_hub.tokens["staging"]))


@pytest.fixture
def behind(notebook: Site, connection: HubConnection, areas: Areas) -> Iterator[Site]:
    """Alice stages through that proxy."""
    with JupyterCopy().connected(connection, None) as method:
        yield replace(notebook, worker=Sender(method, areas.mover, {}, living=lambda _: ()))


@contextmanager
def opened(connection: HubConnection) -> Iterator[Contents]:
    """Give the files of alice's server, and what else it has."""
    with connection.opened() as hub:
        state = start(hub, "alice", within_seconds=PATIENCE, on_progress=lambda _: None)
        with hub.token_for(state) as token:
            yield Contents(hub.calls, state, token)


def kernels_of(contents: Contents) -> set[str]:
    answer = contents.calls.ask("GET", f"{contents.url}api/kernels", peer="", headers=contents.headers)
    return {kernel["id"] for kernel in answer.json()}


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def modes_of(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_all_items_of_a_batch_share_a_kernel_which_ends_with_it(
    notebook: Site, tree: Path, connection: HubConnection, areas: Areas
) -> None:
    with opened(connection) as asked:
        before = kernels_of(asked)
        with JupyterCopy().connected(connection, None) as method:
            site = replace(notebook, worker=Sender(method, areas.mover, {}, living=lambda _: ()))
            for name in ("first", "second"):
                site.stage(site.item(tree.name, name))
                site.stage(site.item(destination=f"{name}.fits"))
            assert len(kernels_of(asked) - before) == 1
        assert kernels_of(asked) == before
    assert modes_of(notebook.peer.home / "second") == {0o400}


def test_files_are_told_in_their_order_however_they_went(notebook: Site, tree: Path) -> None:
    told: list[ManifestEntry] = []
    progress: list[tuple[int, int]] = []
    notebook.stage(
        notebook.item(tree.name, "product"), on_file=told.append, on_progress=lambda *done: progress.append(done)
    )
    there = contents_of(notebook.peer.home / "product")
    assert there == contents_of(tree)
    assert [(one.path, one.size_bytes) for one in told] == [(name, len(there[name])) for name in sorted(there)]
    assert progress[-1] == (sum(map(len, there.values())), len(there))
    assert progress == sorted(progress)
    assert notebook.peer.shown()[0] == "product"


class Gate:
    """Lets calls through by fours, and keeps how many stood before it at most."""

    def __init__(self) -> None:
        self._together = threading.Barrier(CALLS_AT_ONCE)
        self._counting = threading.Lock()
        self._waiting = 0
        self.most = 0

    def __call__(self, call: Call) -> None:
        with self._counting:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
        self._together.wait(PATIENCE)
        with self._counting:
            self._waiting -= 1
        passed(call)


def test_a_server_has_so_many_uploads_at_once_and_no_more_whoever_sends_them(
    behind: Site, tree: Path, proxy: FaultyProxy
) -> None:
    for path in tree.iterdir():
        path.write_bytes(LARGE)
    items = {number: behind.item(tree.name, f"product-{number}") for number in range(2)}
    behind.worker.begin(behind.method, items)
    gate = Gate()
    for step in STEPS:
        if step == "transfer":
            proxy.break_calls("piece", gate, times=len(items) * len(list(tree.iterdir())))
        done = dict(behind.worker.do(step, {number: Watch(stopped=threading.Event()) for number in items}))
        assert all(isinstance(one, StepDone) for one in done.values())
    assert gate.most == CALLS_AT_ONCE
    assert contents_of(behind.peer.home / "product-0") == contents_of(behind.peer.home / "product-1")


def test_the_first_upload_that_fails_ends_all_and_nothing_is_left(behind: Site, tree: Path, proxy: FaultyProxy) -> None:
    behind.begin(behind.item(tree.name, "product"))
    proxy.break_calls("piece", cut_on_the_way_in(100), spared=2, times=1000)
    with pytest.raises(PeerFault):
        behind.do("transfer")
    assert proxy.faults_done
    assert behind.peer.shown() == []


def test_without_a_kernel_each_file_goes_by_itself_and_is_left_writable(
    behind: Site, tree: Path, proxy: FaultyProxy
) -> None:
    proxy.break_calls("kernel", reset, times=1000)
    published = behind.stage(behind.item(tree.name, "product"))
    assert published is not None
    assert "kernel does not answer" in str(published.left_writable)
    assert contents_of(behind.peer.home / "product") == contents_of(tree)
    assert published.fingerprint


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_a_kernel_told_the_server_tells_when_that_kernel_is_gone(
    *, behind: Site, tree: Path, proxy: FaultyProxy, connection: HubConnection, is_changed: bool
) -> None:
    with opened(connection) as asked:
        before = kernels_of(asked)
        behind.begin(behind.item(tree.name, "product"))
        for step in ("check source", "check duplicate", "transfer"):
            behind.do(step)
        [kernel] = kernels_of(asked) - before
        asked.calls.ask("DELETE", f"{asked.url}api/kernels/{kernel}", peer="", headers=asked.headers)
    proxy.break_calls("kernel", reset, times=1000)
    [staged] = behind.peer.home.glob("[!.]*")
    if is_changed:
        (staged / "01").write_bytes(b"new")
        with pytest.raises(DestinationTampered, match="another content"):
            behind.do("publish")
        behind.worker.end()
        assert behind.peer.shown() == []
    else:
        behind.do("publish")
        assert contents_of(behind.peer.home / "product") == contents_of(tree)
