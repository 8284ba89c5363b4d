"""A worker, a hub or a hub's proxy that dies in the middle: nothing half looks whole, and the end is right."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace

import pytest

from stager.errors import PeerError
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
def test_a_worker_that_is_killed_at_any_call_is_followed_by_one_that_ends_right(behind: BehindProxy, kind: str) -> None:
    source, destination, before = KINDS[kind]
    site, peer = behind.site, behind.site.peer
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree" / "data").write_bytes(CONTENT)
    item = replace(site.item(source, destination), on_conflict=OnConflict.REPLACE)
    whole = [destination] if source == "a.fits" else [f"{destination}/data"]
    was_killed, number = True, 0  # what only reads leaves all as it was after the call before
    while was_killed:
        begin_anew(site, before)
        with staging(item, behind.connection) as worker:
            behind.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
            behind.proxy.break_calls_too("change", done_and_then(worker.kill), spared=number)
            worker.start()
            worker.join(PATIENCE)
            was_killed = worker.exitcode == -signal.SIGKILL
        behind.proxy.break_calls("kernelspecs", NO_KERNEL, times=FOREVER)
        assert [path for path in peer.files() if "stager-" not in path] in ([], list(before), whole)
        assert behind.stage(item) == []
        assert peer.files() == whole
        assert {peer.read(path) for path in whole} == {CONTENT}
        number += 1
    assert number > 5


@pytest.mark.parametrize("phase", ["new kernel", "kernel"])
def test_a_worker_that_is_killed_while_a_kernel_works_for_it_is_followed_by_one_that_ends_right(
    behind: BehindProxy, phase: str
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


@pytest.mark.parametrize("phase", ["chunk", "rename"])
def test_a_hub_whose_proxy_dies_goes_on_once_that_is_started_again(
    behind: BehindProxy, running_hub: RunningHub, phase: str
) -> None:
    def fault(call: Call) -> None:
        running_hub.kill_proxy()
        passed(call)

    behind.proxy.break_calls_too(phase, fault)
    assert behind.stage(behind.site.item(destination="deep/product"))
    assert behind.site.peer.read("deep/product") == CONTENT
    assert behind.site.peer.shown() == ["deep", "deep/product"]


def test_a_hub_that_dies_with_all_its_servers_is_waited_for_and_goes_on_once_it_is_started_again(
    behind: BehindProxy, running_hub: RunningHub
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
