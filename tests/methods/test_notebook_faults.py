"""Whatever breaks on the way to a notebook server, or ends the worker: nothing half looks whole, the end is right."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
from pydantic import SecretStr

from stager.errors import (
    DestinationReadOnly,
    HomeFull,
    NotebookTokenRefused,
    PeerBusy,
    PeerError,
    PeerFault,
    PeerStalled,
    StagingError,
)
from stager.methods import Item
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.notebook_servers import NotebookServers
from stager.peers.http import Calls
from stager.peers.jupyter import Hub, HubConnection
from stager.runs.sender import Sender
from stager.vocabulary import OnConflict
from tests.methods.conftest import Areas
from tests.methods.killed_worker import STEPS_DONE, staging
from tests.methods.staging_site import CONTENT, Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import (
    Call,
    Fault,
    FaultyProxy,
    answered,
    cut_on_the_way_back,
    done_and_then,
    passed,
    reset,
    silent,
)
from tests.peers.running_hub import RunningHub

PAGE = b"<html><h1>Sorry</h1></html>"
JSON = "application/json"
FULL = b'{"message": "Unexpected error while saving file: a [Errno 28] No space left on device"}'
STALL_SECONDS = 0.5
# A server that has none: a kernel takes longer to start than all the rest.
NO_KERNEL = answered("200 OK", b'{"kernelspecs": {}}', JSON)
FOREVER = 10**9

PASSING: dict[str, tuple[Fault, type[StagingError]]] = {
    "reset": (reset, PeerFault),
    "answer lost": (cut_on_the_way_back(0), PeerFault),
    "answer cut": (cut_on_the_way_back(300), PeerFault),
    "truncated JSON": (answered("200 OK", b'{"name": "a', JSON), PeerFault),
    "429": (answered("429 Too Many Requests", PAGE, header="Retry-After: 7\r\n"), PeerBusy),
    "500": (answered("500 Internal Server Error", PAGE), PeerFault),
    "502": (answered("502 Bad Gateway", PAGE), PeerFault),
    "503": (answered("503 Service Unavailable", PAGE), PeerFault),
    "silent": (silent, PeerStalled),
}
BROKEN_PHASES = ["look", "start", "token", "look at files", "list", "chunk", "hash", "rename", "removal"]


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A site whose calls go through a proxy, which can break them."""

    site: Site
    proxy: FaultyProxy
    connection: HubConnection
    calls: Calls

    def stage(self, item: Item) -> list[StagingError]:
        """Stage as a run does: first sweep, and do what fails again while its error says that this may help.

        Returns
        -------
        list[StagingError]
            Those errors.
        """
        self.site.begin(item)
        errors = self._done_at_last(lambda: self.sweep(item))
        for step in STEPS_DONE:
            errors += self._done_at_last(lambda step=step: self.site.do(step))  # type: ignore[misc]
        self.site.worker.end()
        return errors

    def sweep(self, item: Item) -> None:
        """Remove what dead runs left."""
        [swept] = self.site.worker.sweep("", [item.destination.parent])
        if isinstance(swept, StagingError):
            raise swept

    @staticmethod
    def _done_at_last(do: Callable[[], object]) -> list[StagingError]:
        errors: list[StagingError] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                do()
            except StagingError as error:
                if not error.retryable:
                    raise
                errors.append(error)
                time.sleep(0.05)
            else:
                break
        return errors


@pytest.fixture
def behind(notebook: Site, proxy: FaultyProxy, running_hub: RunningHub, areas: Areas) -> Iterator[Behind]:
    """A run's own connection, through a proxy, to a notebook server that has no kernels."""
    url = str(httpx.URL(running_hub.url).copy_with(port=proxy.port))
    connection = HubConnection(url=url, token=SecretStr(running_hub.tokens["staging"]))
    proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
    with Calls() as calls:
        servers = NotebookServers(connection, Hub(connection.url, connection.token, calls))
        worker = Sender(JupyterCopy(servers), areas.mover, {}, living=lambda _: ())
        yield Behind(site=replace(notebook, worker=worker), proxy=proxy, connection=connection, calls=calls)
        servers.close()


def put_leftover(site: Site, folder: str) -> None:
    """Put there what a dead run has left."""
    site.peer.put(f"{folder}/stager-0123456789abcdef-0123456789abcdef")


@pytest.mark.parametrize("name", PASSING)
def test_a_staging_whose_every_phase_breaks_once_ends_right(behind: Behind, name: str) -> None:
    fault, kind = PASSING[name]
    put_leftover(behind.site, "deep")
    for phase in BROKEN_PHASES:
        behind.proxy.break_calls_too(phase, fault)
    if name == "silent":
        behind.calls.stall_seconds = STALL_SECONDS
    item = behind.site.item(destination="deep/product")
    errors = behind.stage(item)
    assert behind.proxy.faults_left == FOREVER - 1
    assert {type(error) for error in errors} == {kind}
    assert behind.site.peer.read("deep/product") == CONTENT
    behind.sweep(item)  # of the next run: a removal that somebody in the server's stead calls done is not done
    assert behind.site.peer.shown() == ["deep", "deep/product"]


# What no retry mends: who answers so, the error, and who can mend it.
LASTING: dict[str, tuple[Fault, type[StagingError], str]] = {
    "507": (answered("507 Insufficient Storage", PAGE), HomeFull, "you"),
    "no space": (answered("500 Internal Server Error", FULL, JSON), HomeFull, "you"),
    "no right": (answered("403 Forbidden", b'{"message": "Permission denied: a"}', JSON), DestinationReadOnly, "you"),
}


@pytest.mark.parametrize("phase", ["chunk", "rename"])
@pytest.mark.parametrize("name", LASTING)
def test_what_no_retry_mends_is_told_at_once_and_leaves_nothing(behind: Behind, name: str, phase: str) -> None:
    fault, kind, mended_by = LASTING[name]
    behind.proxy.break_calls_too(phase, fault)
    item = behind.site.item(destination="deep/product")
    with pytest.raises(kind) as raised:
        behind.stage(item)
    behind.site.worker.end()
    assert (raised.value.retryable, raised.value.mended_by) == (False, mended_by)
    assert behind.site.peer.shown() == []
    assert behind.stage(item) == []
    assert behind.site.peer.shown() == ["deep", "deep/product"]


KINDS = {
    "a file into a new folder": ("a.fits", "deep/product", ()),
    "a directory that replaces another": ("tree", "product", ("product/old",)),
}


def begin_anew(site: Site, before: tuple[str, ...]) -> None:
    """Have nothing there but what was before."""
    for there in site.peer.home.iterdir():
        shutil.rmtree(there)
    for path in before:
        site.peer.put(path, b"old")


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_is_killed_at_any_call_is_followed_by_one_that_ends_right(behind: Behind, kind: str) -> None:
    source, destination, before = KINDS[kind]
    site, peer = behind.site, behind.site.peer
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree" / "data").write_bytes(CONTENT)
    item = replace(site.item(source, destination), on_conflict=OnConflict.REPLACE)
    whole = [destination] if source == "a.fits" else [f"{destination}/data"]
    was_killed, number = True, 0
    while was_killed:
        begin_anew(site, before)
        with staging(item, behind.connection) as worker:
            behind.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
            behind.proxy.break_calls_too("any", done_and_then(worker.kill), spared=number)
            worker.start()
            worker.join(PATIENCE)
            was_killed = worker.exitcode == -signal.SIGKILL
        behind.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
        assert [path for path in peer.files() if "stager-" not in path] in ([], list(before), whole)
        assert behind.stage(item) == []
        assert peer.files() == whole
        assert {peer.read(path) for path in whole} == {CONTENT}
        number += 1
    assert number > 20


@pytest.mark.parametrize("phase", ["new kernel", "kernel"])
def test_a_worker_that_is_killed_while_a_kernel_works_for_it_is_followed_by_one_that_ends_right(
    behind: Behind, phase: str
) -> None:
    item = behind.site.item(destination="product")
    with staging(item, behind.connection) as worker:
        behind.proxy.break_calls(phase, done_and_then(worker.kill))
        worker.start()
        worker.join(PATIENCE)
        assert worker.exitcode == -signal.SIGKILL
    assert behind.stage(item) == []
    assert behind.site.peer.shown() == ["product"]
    assert not behind.site.peer.may_write("product")


@pytest.mark.parametrize("phase", ["kernelspecs", "new kernel", "kernel"])
def test_a_kernel_whose_call_breaks_once_is_asked_again(behind: Behind, phase: str) -> None:
    behind.proxy.break_calls(phase, reset)
    assert behind.stage(behind.site.item(destination="product")) == []
    assert behind.proxy.faults_left == 0
    assert not behind.site.peer.may_write("product")


def test_a_token_that_ends_is_replaced_by_another(behind: Behind, running_hub: RunningHub) -> None:
    hub = Hub(running_hub.url, behind.connection.token, behind.calls)

    def end_newest(call: Call) -> None:
        told = hub.ask("GET", "users/alice/tokens").object()["api_tokens"]
        newest = max(told, key=lambda token: str(token["created"]))
        assert hub.ask("DELETE", f"users/alice/tokens/{newest['id']}").is_success
        passed(call)

    behind.proxy.break_calls_too("look at files", end_newest)
    behind.proxy.break_calls_too("chunk", answered("403 Forbidden", b'{"message": "Forbidden"}', JSON))
    errors = behind.stage(behind.site.item(destination="deep/product"))
    assert [type(error) for error in errors] == [NotebookTokenRefused] * 2
    assert behind.site.peer.shown() == ["deep", "deep/product"]


@pytest.mark.parametrize("phase", ["chunk", "rename"])
def test_a_hub_whose_proxy_dies_goes_on_once_that_is_started_again(
    behind: Behind, running_hub: RunningHub, phase: str
) -> None:
    def fault(call: Call) -> None:
        running_hub.kill_proxy()
        passed(call)

    behind.proxy.break_calls_too(phase, fault)
    assert behind.stage(behind.site.item(destination="deep/product"))
    assert behind.site.peer.read("deep/product") == CONTENT
    assert behind.site.peer.shown() == ["deep", "deep/product"]


def test_a_hub_that_dies_with_all_its_servers_is_waited_for_and_goes_on_once_it_is_started_again(
    behind: Behind, running_hub: RunningHub
) -> None:
    item = behind.site.item(destination="deep/product")
    behind.site.begin(item)
    behind.proxy.break_calls_too("chunk", lambda _: running_hub.die())
    for _ in range(2):
        with pytest.raises(PeerError) as raised:
            behind.site.do("transfer")
        assert raised.value.retryable
    running_hub.start()
    behind.stage(item)
    assert behind.site.peer.read("deep/product") == CONTENT
    assert behind.site.peer.shown() == ["deep", "deep/product"]
