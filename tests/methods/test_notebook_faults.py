"""Whatever breaks on the way to a notebook server: nothing half looks whole, and the end is right."""

from __future__ import annotations

import pytest

from stager.errors import (
    DestinationReadOnly,
    HomeFull,
    NotebookTokenRefused,
    PeerBusy,
    PeerFault,
    PeerStalled,
    StagingError,
)
from stager.peers.jupyter import Hub
from tests.methods.behind_proxy import BehindProxy
from tests.methods.staging_site import CONTENT
from tests.peers.faulty_proxy import (
    Call,
    Fault,
    answered,
    cut_on_the_way_back,
    cut_on_the_way_in,
    passed,
    reset,
    silent,
)
from tests.peers.running_hub import RunningHub

PAGE = b"<html><h1>Sorry</h1></html>"
JSON = "application/json"
FULL = b'{"message": "Unexpected error while saving file: a [Errno 28] No space left on device"}'
STALL_SECONDS = 0.5

PASSING: dict[str, tuple[Fault, type[StagingError]]] = {
    "reset": (reset, PeerFault),
    "cut on the way in": (cut_on_the_way_in(100), PeerFault),
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


# Where nothing but the answer's status tells them apart, they are one for a directory.
OF_A_DIRECTORY = ["reset", "cut on the way in", "answer lost", "answer cut", "503"]


@pytest.mark.parametrize(
    ("what", "name"), [*(("a.fits", name) for name in PASSING), *(("tree", name) for name in OF_A_DIRECTORY)]
)
def test_a_staging_whose_every_phase_breaks_once_ends_right(proxied: BehindProxy, what: str, name: str) -> None:
    fault, kind = PASSING[name]
    peer, tree = proxied.site.peer, proxied.site.source / "tree"
    (tree / "deep").mkdir(parents=True)
    for file in ("data", "deep/data"):
        (tree / file).write_bytes(CONTENT)
    for folder in (tree, tree / "deep"):
        folder.chmod(0o755)
    peer.put("new/stager-0123456789abcdef-0123456789abcdef")  # of a run that died
    for phase in BROKEN_PHASES:
        proxied.proxy.break_calls_too(phase, fault)
    if name == "silent":
        proxied.calls.stall_seconds = STALL_SECONDS
    item = proxied.site.item(what, "new/product")
    errors = proxied.stage(item)
    assert proxied.proxy.phases_left == {"kernelspecs"}
    assert {type(error) for error in errors} == {kind}
    proxied.sweep(item)  # of the next run: a removal that somebody in the server's stead calls done is not done
    files = ["new/product"] if what == "a.fits" else ["new/product/data", "new/product/deep/data"]
    assert peer.files() == files
    assert {peer.read(file) for file in files} == {CONTENT}


# What no retry mends: who answers so, the error, and who can mend it.
LASTING: dict[str, tuple[Fault, type[StagingError], str]] = {
    "507": (answered("507 Insufficient Storage", PAGE), HomeFull, "you"),
    "no space": (answered("500 Internal Server Error", FULL, JSON), HomeFull, "you"),
    "no right": (answered("403 Forbidden", b'{"message": "Permission denied: a"}', JSON), DestinationReadOnly, "you"),
}


@pytest.mark.parametrize("phase", ["chunk", "rename"])
@pytest.mark.parametrize("name", LASTING)
def test_what_no_retry_mends_is_told_at_once_and_leaves_nothing(proxied: BehindProxy, name: str, phase: str) -> None:
    fault, kind, mended_by = LASTING[name]
    proxied.proxy.break_calls_too(phase, fault)
    item = proxied.site.item(destination="deep/product")
    with pytest.raises(kind) as raised:
        proxied.stage(item)
    proxied.site.worker.end()
    assert (raised.value.retryable, raised.value.mended_by) == (False, mended_by)
    assert proxied.site.peer.shown() == []
    assert proxied.stage(item) == []
    assert proxied.site.peer.shown() == ["deep", "deep/product"]


@pytest.mark.parametrize("phase", ["kernelspecs", "new kernel", "kernel"])
def test_a_kernel_whose_call_breaks_once_is_asked_again(proxied: BehindProxy, phase: str) -> None:
    proxied.proxy.break_calls(phase, reset)
    assert proxied.stage(proxied.site.item(destination="product")) == []
    assert proxied.proxy.phases_left == set()
    assert not proxied.site.peer.may_write("product")


def test_a_token_that_ends_is_replaced_by_another(proxied: BehindProxy, running_hub: RunningHub) -> None:
    hub = Hub(running_hub.url, proxied.connection.token, proxied.calls)

    def end_newest(call: Call) -> None:
        told = hub.ask("GET", "users/alice/tokens").object()["api_tokens"]
        newest = max(told, key=lambda token: str(token["created"]))
        assert hub.ask("DELETE", f"users/alice/tokens/{newest['id']}").is_success
        passed(call)

    proxied.proxy.break_calls_too("look at files", end_newest)
    proxied.proxy.break_calls_too("chunk", answered("403 Forbidden", b'{"message": "Forbidden"}', JSON))
    errors = proxied.stage(proxied.site.item(destination="deep/product"))
    assert proxied.proxy.phases_left == {"kernelspecs"}
    assert {type(error) for error in errors} == {NotebookTokenRefused}
    assert proxied.site.peer.shown() == ["deep", "deep/product"]
