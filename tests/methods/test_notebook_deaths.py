"""A worker, a hub or a hub's proxy that dies in the middle: nothing half looks whole, and the end is right."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace

import pytest

from stager.errors import PeerError
from stager.methods.jupyter_copy import JupyterCopy
from stager.vocabulary import OnConflict
from tests.methods.behind_proxy import FOREVER, NO_KERNEL, BehindProxy
from tests.methods.killed_worker import staging
from tests.methods.staging_site import CONTENT, Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import Call, done_and_then, passed
from tests.peers.running_hub import RunningHub

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
def test_a_worker_that_is_killed_at_any_call_is_followed_by_one_that_ends_right(
    proxied: BehindProxy, kind: str
) -> None:
    source, destination, before = KINDS[kind]
    site, peer = proxied.site, proxied.site.peer
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree" / "data").write_bytes(CONTENT)
    item = replace(site.item(source, destination), on_conflict=OnConflict.REPLACE)
    whole = [destination] if source == "a.fits" else [f"{destination}/data"]
    was_killed, number = True, 0  # what only reads leaves all as it was after the call before
    while was_killed:
        begin_anew(site, before)
        with staging(JupyterCopy(), item, proxied.connection) as worker:
            proxied.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
            proxied.proxy.break_calls_too("change", done_and_then(worker.kill), spared=number)
            worker.start()
            worker.join(PATIENCE)
            was_killed = worker.exitcode == -signal.SIGKILL
        proxied.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
        assert [path for path in peer.files() if "stager-" not in path] in ([], list(before), whole)
        assert proxied.stage(item) == []
        assert peer.files() == whole
        assert {peer.read(path) for path in whole} == {CONTENT}
        number += 1
    assert number > 5


@pytest.mark.parametrize("phase", ["new kernel", "kernel"])
def test_a_worker_that_is_killed_while_a_kernel_works_for_it_is_followed_by_one_that_ends_right(
    proxied: BehindProxy, phase: str
) -> None:
    item = proxied.site.item(destination="product")
    with staging(JupyterCopy(), item, proxied.connection) as worker:
        proxied.proxy.break_calls(phase, done_and_then(worker.kill))
        worker.start()
        worker.join(PATIENCE)
        assert worker.exitcode == -signal.SIGKILL
    assert proxied.stage(item) == []
    assert proxied.site.peer.shown() == ["product"]
    assert not proxied.site.peer.may_write("product")


@pytest.mark.parametrize("phase", ["chunk", "rename"])
def test_a_hub_whose_proxy_dies_goes_on_once_that_is_started_again(
    proxied: BehindProxy, running_hub: RunningHub, phase: str
) -> None:
    def fault(call: Call) -> None:
        running_hub.kill_proxy()
        passed(call)

    proxied.proxy.break_calls_too(phase, fault)
    assert proxied.stage(proxied.site.item(destination="deep/product"))
    assert proxied.site.peer.read("deep/product") == CONTENT
    assert proxied.site.peer.shown() == ["deep", "deep/product"]


def test_a_hub_that_dies_with_all_its_servers_is_waited_for_and_goes_on_once_it_is_started_again(
    proxied: BehindProxy, running_hub: RunningHub
) -> None:
    item = proxied.site.item(destination="deep/product")
    proxied.site.begin(item)
    proxied.proxy.break_calls_too("chunk", lambda _: running_hub.die())
    for _ in range(2):
        with pytest.raises(PeerError) as raised:
            proxied.site.do("transfer")
        assert raised.value.retryable
    running_hub.start()
    proxied.stage(item)
    assert proxied.site.peer.read("deep/product") == CONTENT
    assert proxied.site.peer.shown() == ["deep", "deep/product"]
