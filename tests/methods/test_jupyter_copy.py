"""What the contract does not ask: trees, names, meddling and crashes at a real notebook server."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from stager.engine import Published
from stager.errors import (
    Cancelled,
    DestinationDiffers,
    DestinationTampered,
    HomeFull,
    InvalidPath,
    LeaseLost,
    NameNotTaken,
    NotebookNotRunning,
    PeerFault,
    PeerStalled,
    StagingError,
    UnsupportedFileType,
)
from stager.methods import Item, LastCopy
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.method import KEY_DIGITS
from stager.methods.notebook_bundle import MAX_BUNDLED_BYTES
from stager.methods.notebook_path import NotebookPath, notebook_path
from stager.methods.notebook_staged import LEFTOVER, name_aside, temporary_name
from stager.mover.answers import Watch
from stager.mover.replies import StepDone
from stager.peers.http import Calls
from stager.peers.jupyter import CALLS_AT_ONCE, Hub, stop
from stager.records.items import destination_key
from stager.runs.sender import Sender
from stager.vocabulary import ManifestEntry, OnConflict
from tests.methods.behind_proxy import BehindProxy
from tests.methods.conftest import Areas
from tests.methods.staging_site import CONTENT, Site
from tests.patience import PATIENCE
from tests.peers.faulty_proxy import Call, answered, passed, reset
from tests.peers.running_hub import RunningHub

TREE = {
    "empty": b"",
    "deep/er/data": CONTENT,
    "deep/table.pyc": b"not listed by the server",
    "a name #1 %20?.txt": b"x",
    "checkpoints": b"y",
    "é.ipynb": b"no notebook",
}


@pytest.fixture
def tree(notebook: Site) -> Path:
    """A directory with files and folders of every kind."""
    tree = notebook.source / "tree"
    (tree / "folder with nothing").mkdir(parents=True)
    for path, content in TREE.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    for made in (tree, *tree.rglob("*")):
        made.chmod(0o755)
    return tree


def place_of(item: Item) -> NotebookPath:
    assert isinstance(item.destination, NotebookPath)
    return item.destination


def staged(site: Site, item: Item) -> Path:
    """Transfer an item, and return where it lies under its temporary name."""
    site.begin(item)
    for step in ("check source", "check duplicate", "transfer"):
        site.do(step)
    [found] = [path for path in site.peer.home.iterdir() if LEFTOVER.fullmatch(path.name)]
    return found


@pytest.mark.usefixtures("tree")
def test_a_tree_arrives_whole_and_read_only_and_is_found_again(notebook: Site) -> None:
    told: list[ManifestEntry] = []
    item = notebook.item("tree", "product")
    published = notebook.stage(item, on_file=told.append)
    assert published is not None
    assert published.left_unverified is None
    product = notebook.peer.home / "product"
    arrived = {str(path.relative_to(product)): path.read_bytes() for path in product.rglob("*") if path.is_file()}
    assert arrived == TREE
    assert (product / "folder with nothing").is_dir()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (product, *product.rglob("*"))} == {0o400, 0o500}
    assert [one.path for one in told] == sorted(TREE)
    assert (published.file_count, published.size_bytes) == (len(TREE), sum(map(len, TREE.values())))
    assert notebook.peer.shown()[0] == "product"
    assert notebook.stage(item) is None
    again: list[ManifestEntry] = []
    assert notebook.stage(replace(item, last_copy=receipt(notebook, item, published)), on_file=again.append) is None
    assert again == []  # by the receipt, nothing of the source is read


def receipt(site: Site, item: Item, published: Published) -> LastCopy:
    return LastCopy(
        file_id=1,
        source_fingerprint=site.survey(item).fingerprint,
        destination_fingerprint=published.fingerprint,
        checksum=None,
    )


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("how", ["changed", "one more", "one less", "another kind"])
def test_a_tree_that_differs_is_no_duplicate_whatever_the_receipt_says(notebook: Site, how: str) -> None:
    item = notebook.item("tree", "product")
    published = notebook.stage(item)
    assert published is not None
    product = notebook.peer.home / "product"
    product.chmod(0o700)
    (product / "checkpoints").chmod(0o600)
    match how:
        case "changed":
            (product / "checkpoints").write_bytes(b"z")
        case "one more":
            (product / "more").write_bytes(b"")
        case "one less":
            (product / "empty").unlink()
        case _:
            (product / "folder with nothing").chmod(0o700)
            (product / "folder with nothing").rmdir()
            (product / "folder with nothing").write_bytes(b"")
    with pytest.raises(DestinationDiffers):
        notebook.stage(replace(item, last_copy=receipt(notebook, item, published)))


@pytest.mark.parametrize("name", [".hidden", "deep/.git/x", "not-utf-8\udcff"])
def test_a_name_that_the_server_refuses_is_refused_by_name_before_anything_is_sent(
    notebook: Site, tree: Path, name: str
) -> None:
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_bytes(b"")
    notebook.begin(notebook.item("tree", "product"))
    with pytest.raises(NameNotTaken, match=r"\.hidden|\.git|UTF-8"):
        notebook.do("check source")
    assert notebook.peer.shown() == []


def test_a_link_in_a_tree_is_refused_by_name(notebook: Site, tree: Path) -> None:
    (tree / "link").symlink_to("empty")
    with pytest.raises(UnsupportedFileType, match="tree/link is a symbolic link"):
        notebook.stage(notebook.item("tree", "product"))
    assert notebook.peer.shown() == []


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def exchange(path: Path) -> None:
    path.write_bytes(bytes(reversed(path.read_bytes())))


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("meddle", [append, exchange, Path.unlink])
@pytest.mark.parametrize("kind", ["file", "tree"])
def test_what_somebody_changes_before_it_is_published_is_not_published(
    notebook: Site, kind: str, meddle: Callable[[Path], None]
) -> None:
    is_tree = kind == "tree"
    temporary = staged(notebook, notebook.item("tree" if is_tree else "a.fits", "product"))
    meddle(temporary / "deep/er/data" if is_tree else temporary)
    with pytest.raises(DestinationTampered):
        notebook.do("publish")
    assert not notebook.peer.exists("product")
    notebook.worker.end()
    assert notebook.peer.shown() == []


@pytest.mark.usefixtures("tree")
def test_what_somebody_adds_to_a_tree_is_not_published_with_it(notebook: Site) -> None:
    temporary = staged(notebook, notebook.item("tree", "product"))
    (temporary / "more").write_bytes(b"")
    with pytest.raises(DestinationTampered, match="more: somebody put it there"):
        notebook.do("publish")
    assert not notebook.peer.exists("product")


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("what", ["a.fits", "tree"])
def test_a_replacement_that_fails_leaves_what_was_there_and_one_that_does_not_leaves_nothing_else(
    notebook: Site, what: str
) -> None:
    notebook.peer.put("product/old")
    item = replace(notebook.item(what, "product"), on_conflict=OnConflict.REPLACE)
    with pytest.raises(LeaseLost):
        notebook.stage(item, refuse=lambda items: {item_id: LeaseLost("product") for item_id in items})
    assert notebook.peer.shown() == ["product", "product/old"]
    assert notebook.stage(item) is not None
    assert not notebook.peer.exists("product/old")
    assert {path.partition("/")[0] for path in notebook.peer.shown()} == {"product"}
    again = notebook.peer.home / "product"
    assert again.is_dir() == (what == "tree")


def test_what_was_changed_while_it_was_to_be_replaced_stays(notebook: Site) -> None:
    notebook.peer.put("product")
    item = replace(notebook.item(destination="product"), on_conflict=OnConflict.REPLACE)
    staged(notebook, item)
    notebook.peer.put("product", b"newer and longer")
    with pytest.raises(DestinationDiffers):
        notebook.do("publish")
    notebook.worker.end()
    assert (notebook.peer.shown(), notebook.peer.read("product")) == (["product"], b"newer and longer")


def test_what_appears_meanwhile_is_not_overwritten(notebook: Site) -> None:
    staged(notebook, notebook.item(destination="product"))
    notebook.peer.put("product")
    with pytest.raises(DestinationDiffers):
        notebook.do("publish")
    notebook.worker.end()
    assert (notebook.peer.shown(), notebook.peer.read("product")) == (["product"], b"precious")


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_run_that_died_in_the_middle_of_a_replacement_is_undone(
    notebook: Site, *, is_replaced: bool, is_there: bool
) -> None:
    item = notebook.item(destination="product")
    temporary = temporary_name(place_of(item))
    notebook.peer.put(name_aside(temporary, "product"), b"old")
    if not is_replaced:
        notebook.peer.put(temporary, b"half")
    if is_there:
        notebook.peer.put("product", b"new")
    assert isinstance(notebook.worker, Sender)
    notebook.worker.sweep("", [item.destination.parent])
    found = {name: notebook.peer.read(name) for name in notebook.peer.shown()}
    assert found.pop("product") == (b"new" if is_there else b"old")
    # What was saved meanwhile is not overwritten, and what was there before not lost.
    assert list(found.values()) == ([b"old"] if is_there and not is_replaced else [])
    notebook.worker.sweep("", [item.destination.parent])
    assert found.keys() <= set(notebook.peer.shown())


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("what", ["a.fits", "tree"])
def test_what_was_there_comes_back_although_a_replacement_and_its_undoing_broke(
    proxied: BehindProxy, what: str
) -> None:
    site = proxied.site
    site.peer.put("product", b"old")
    item = replace(site.item(what, "product"), on_conflict=OnConflict.REPLACE)
    for is_repeated in (False, True):
        site.begin(item)
        for step in ("check source", "check duplicate", "transfer", "set read-only"):
            site.do(step)
        proxied.proxy.break_calls("rename", reset, spared=1, times=2)  # and kernels: one removes what is not listed
        with pytest.raises(PeerFault):
            site.do("publish")
        assert not site.peer.exists("product")
        if is_repeated:
            site.do("publish")
        site.worker.end()
        assert {path.partition("/")[0] for path in site.peer.shown()} == {"product"}
        if not is_repeated:
            assert site.peer.read("product") == b"old"
    arrived = site.peer.home / ("product" if what == "a.fits" else "product/deep/er/data")
    assert arrived.read_bytes() == CONTENT


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_stay(
    notebook: Site, connected: JupyterCopy, areas: Areas
) -> None:
    dead, living = (place_of(notebook.item(destination=name)) for name in ("dead", "living"))
    sealed = notebook.peer.home / temporary_name(dead)
    notebook.peer.put(f"{sealed.name}/deep/not-listed.pyc")
    notebook.peer.put(f"{sealed.name}/deep/file").chmod(0o400)
    for folder in (sealed / "deep", sealed):
        folder.chmod(0o500)
    kept = [temporary_name(living), "stager-of-the-users-own", name_aside(temporary_name(living), "living")]
    for name in (*kept, temporary_name(dead)):
        notebook.peer.put(name)
    digits = LEFTOVER.fullmatch(kept[0])
    assert digits
    connected.reach([dead], on_wait=lambda _: None, check=lambda: None)
    sender = Sender(connected, areas.mover, {}, living={digits["digits"]}.intersection)
    assert sender.sweep("", [dead.parent, replace(dead, names=(*dead.names, "nowhere"))]) == [2, 0]
    assert notebook.peer.shown() == sorted(kept)


def test_a_server_that_takes_its_time_is_not_waited_for_by_whoever_cleans_up(
    notebook: Site, connected: JupyterCopy, areas: Areas, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(notebook.item(destination="product"))
    monkeypatch.setattr("stager.runs.sender.DISCARD_SECONDS", 0)
    temporary = staged(notebook, notebook.item(destination="product"))
    notebook.worker.end()
    assert notebook.peer.shown() == [temporary.name]
    sender = Sender(connected, areas.mover, {}, living=lambda _: ())
    with monkeypatch.context() as hurried:
        hurried.setattr("stager.runs.sender.SWEEP_SECONDS", 0)
        [said] = sender.sweep("", [place.parent])
    assert isinstance(said, PeerStalled)
    assert notebook.peer.shown() == [temporary.name]
    assert sender.sweep("", [place.parent]) == [1]


def test_of_many_leftovers_some_are_swept_at_a_time_and_the_records_are_asked_once(
    notebook: Site, connected: JupyterCopy, areas: Areas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stager.methods.notebook_leftovers.MOST_SWEPT", 3)
    place, asked = place_of(notebook.item(destination="product")), []

    def living(beginnings: Collection[str]) -> Collection[str]:
        asked.append(set(beginnings))
        return ()

    for _ in range(5):
        notebook.peer.put(temporary_name(place))
    connected.reach([place], on_wait=lambda _: None, check=lambda: None)
    sender = Sender(connected, areas.mover, {}, living=living)
    assert [sender.sweep("", [place.parent]) for _ in range(2)] == [[3], [2]]
    assert asked == [{destination_key(place)[:KEY_DIGITS]}] * 2


def test_several_items_are_under_way_at_once(notebook: Site) -> None:
    together = threading.Barrier(notebook.promise.width)
    items = {number: notebook.item(destination=f"product {number}") for number in range(notebook.promise.width)}
    notebook.worker.begin(notebook.method, items)

    def watch() -> Watch:
        return Watch(stopped=threading.Event(), on_progress=lambda *_: None, on_file=lambda _: meet())

    def meet() -> None:
        together.wait(PATIENCE)

    for step in ("check source", "check duplicate", "transfer", "set read-only", "publish"):
        done = dict(notebook.worker.do(step, {number: watch() for number in items}))
        assert all(isinstance(one, StepDone) for one in done.values())
    assert notebook.peer.shown() == sorted(f"product {number}" for number in items)


def test_a_kernels_words_are_kept_as_one_line_of_text_that_is_not_endless(
    notebook: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stager.methods.jupyter_copy.seal", lambda *_, **__: "\udcff\n" * 9000)
    published = notebook.stage(notebook.item(destination="product"))
    assert published is not None
    assert published.left_writable is not None
    assert published.left_writable.startswith("\\udcff\\n\\udcff")
    assert len(published.left_writable) <= 1000


@pytest.mark.usefixtures("tree")
def test_an_item_that_is_left_leaves_nothing(notebook: Site) -> None:
    stopped = threading.Event()
    notebook.begin(notebook.item("tree", "deep/product"))
    watch = Watch(stopped=stopped, on_file=lambda _: stopped.set())
    [(_, outcome)] = notebook.worker.do("transfer", {1: watch})
    assert isinstance(outcome, StagingError)
    assert notebook.peer.shown() == []


def test_of_what_the_server_tells_no_checksum_only_the_size_is_promised(proxied: BehindProxy) -> None:
    told = {"name": "a", "path": "a", "type": "file", "size": len(CONTENT), "writable": True, "hash": None}
    proxied.proxy.break_calls_too("hash", answered("200 OK", json.dumps(told).encode(), "application/json"))
    published = proxied.site.stage(proxied.site.item(destination="product"))
    assert published is not None
    assert published.left_unverified == "the notebook server tells no checksum"
    assert proxied.site.peer.read("product") == CONTENT
    assert published.fingerprint == ""  # so that the next staging compares


def test_of_an_item_that_is_left_before_its_turn_nothing_is_sent(proxied: BehindProxy) -> None:
    proxied.site.begin(proxied.site.item())
    proxied.site.do("check source")
    stopped = threading.Event()
    stopped.set()
    proxied.proxy.break_calls("chunk", passed)
    [(_, outcome)] = proxied.site.worker.do("transfer", {1: Watch(stopped=stopped)})
    assert isinstance(outcome, Cancelled)
    assert proxied.proxy.faults_done == 0


def test_what_is_cancelled_while_it_gets_its_name_is_delivered_and_known_to_be(proxied: BehindProxy) -> None:
    stopped = threading.Event()

    def answer_later(call: Call) -> None:
        stopped.set()
        time.sleep(1)  # twice as long as until somebody looks whether to wait
        passed(call)

    proxied.site.begin(proxied.site.item(destination="product"))
    for step in ("check source", "check duplicate", "transfer", "set read-only"):
        proxied.site.do(step)
    proxied.proxy.break_calls_too("rename", answer_later)
    [(_, outcome)] = proxied.site.worker.do("publish", {1: Watch(stopped=stopped)})
    proxied.site.worker.end()
    assert isinstance(outcome, StepDone)
    assert proxied.site.peer.shown() == ["product"]


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("has_kernel", [True, False])
def test_of_a_tree_only_that_is_sent_again_whose_call_broke(proxied: BehindProxy, *, has_kernel: bool) -> None:
    told, done, broken = list[ManifestEntry](), list[int](), list[Call]()

    def breaking(call: Call) -> None:
        if len(broken) < 2 and (has_kernel or b"/data " in call.head):
            broken.append(call)
            reset(call)
        else:
            passed(call)

    site, proxy = proxied.site, proxied.proxy
    if has_kernel:  # then all the files, which are small, go together after their four folders
        proxy.break_calls("chunk", breaking, spared=4, times=1000)
    else:
        proxy.break_calls_too("chunk", breaking, times=1000)
    site.stage(site.item("tree", "product"), on_file=told.append, on_progress=lambda size, _: done.append(size))
    assert len(broken) == 2
    assert [one.path for one in told] == sorted(TREE)
    assert done[-1] == sum(map(len, TREE.values()))
    product = site.peer.home / "product"
    assert {str(path.relative_to(product)) for path in product.rglob("*") if path.is_file()} == set(TREE)


@pytest.mark.usefixtures("tree")
def test_a_removal_that_broke_leaves_nothing_under_the_final_name_and_a_sweep_ends_it(proxied: BehindProxy) -> None:
    site = proxied.site
    delivery = site.delivered(site.item("tree", "product"))
    proxied.proxy.break_calls("removal", reset)
    with pytest.raises(PeerFault):
        site.remove(delivery)
    assert not site.peer.exists("product")
    assert site.peer.shown() != []
    assert site.worker.sweep("jupyter_copy", [delivery.item.destination.parent]) == [1]
    assert site.peer.shown() == []
    assert not site.remove(delivery)


def test_what_a_server_tells_no_checksum_of_is_not_removed(notebook: Site) -> None:
    delivery = notebook.delivered(notebook.item(destination="product"))
    assert delivery.item.last_copy is not None
    unknown = replace(delivery.item.last_copy, destination_fingerprint="")
    with pytest.raises(DestinationDiffers, match="stays"):
        notebook.remove(replace(delivery, item=replace(delivery.item, last_copy=unknown)))
    assert notebook.peer.shown() == ["product"]


def test_a_server_that_is_stopped_in_the_middle_is_started_again(
    notebook: Site, tree: Path, running_hub: RunningHub
) -> None:
    large = bytes(MAX_BUNDLED_BYTES + 1)  # each goes by itself, and most of them after the first has arrived
    for number in range(3 * CALLS_AT_ONCE):
        (tree / f"large-{number}").write_bytes(large)
    notebook.begin(notebook.item("tree", "product"))
    for step in ("check source", "check duplicate"):
        notebook.do(step)

    def stop_it(_: ManifestEntry) -> None:
        with Calls() as calls:
            stop(Hub(running_hub.url, SecretStr(running_hub.tokens["staging"]), calls), "alice", within_seconds=60)

    with pytest.raises((NotebookNotRunning, PeerFault)) as caught:  # what is under way then may break off
        notebook.do("transfer", on_file=stop_it)
    assert caught.value.retryable
    assert not notebook.peer.exists("product")
    if caught.type is PeerFault:
        with pytest.raises(NotebookNotRunning):
            notebook.do("transfer")
    for step in ("transfer", "set read-only", "publish"):
        notebook.do(step)
    assert (notebook.peer.home / "product/deep/er/data").read_bytes() == CONTENT
    assert [path for path in notebook.peer.shown() if "stager-" in path] == []
    assert (notebook.peer.home / "product/large-0").read_bytes() == large
    assert {stat.S_IMODE(path.stat().st_mode) for path in (notebook.peer.home / "product").iterdir()} == {0o400, 0o500}


def test_a_destination_is_not_called_as_what_is_swept() -> None:
    for path in ("stager-0123456789abcdef-x", "stager-0123456789abcdef-0123456789abcdef/a"):
        with pytest.raises(InvalidPath, match="a temporary one"):
            notebook_path(path, hub="https://hub.example.org", username="alice")


def test_two_spellings_of_a_place_are_one_and_what_lies_in_it_begins_with_its_key() -> None:
    def key(path: str, username: str = "alice", hub: str = "https://Hub.example.org/x/", server: str = "") -> str:
        return notebook_path(path, hub=hub, username=username, server=server).key

    assert key("a//b/./c") == key("a/b/c", username="Alice", hub="http://hub.example.org/x")
    assert key("a/b").startswith(f"{key('a')}/")
    assert len({key("a"), key("a", server="lab"), key("a", username="bob"), key("a", username="alice/a")}) == 4
    assert key("a") == "jupyter:hub.example.org/x/alice//a"


def test_what_has_no_room_in_the_home_is_refused_before_its_first_byte(notebook: Site) -> None:
    free = shutil.disk_usage(notebook.peer.home).free
    with (notebook.source / "a.fits").open("r+b") as source:
        source.truncate(free + (1 << 40))
    notebook.begin(notebook.item(destination="deep/product"))
    for step in ("check source", "check duplicate"):
        notebook.do(step)
    with pytest.raises(HomeFull, match=r"are to come, and there is room for .* remove something there first") as caught:
        notebook.do("transfer")
    assert (caught.value.mended_by, caught.value.retryable) == ("you", False)
    assert notebook.peer.shown() == []


def test_uploads_share_the_room_that_there_is(notebook: Site) -> None:
    share = shutil.disk_usage(notebook.peer.home).free * 2 // 3
    items = {number: notebook.item(f"{number}.fits", f"product {number}") for number in range(3)}
    for number in items:
        with (notebook.source / f"{number}.fits").open("wb") as source:
            source.truncate(share if number else len(CONTENT))
        (notebook.source / f"{number}.fits").chmod(0o644)
    notebook.worker.begin(notebook.method, items)
    one_is_refused, outcomes = threading.Event(), {}
    stopped = {number: one_is_refused if number else threading.Event() for number in items}
    for item_id, outcome in notebook.worker.do(
        "transfer", {number: Watch(stopped=stopped[number]) for number in items}
    ):
        outcomes[item_id] = type(outcome).__name__
        if isinstance(outcome, HomeFull):
            one_is_refused.set()
    assert outcomes.pop(0) == "StepDone"
    assert sorted(outcomes.values()) == ["Cancelled", "HomeFull"]


def test_the_hubs_secret_is_not_with_the_mover(notebook: Site, areas: Areas, running_hub: RunningHub) -> None:
    notebook.stage(notebook.item())
    known = Path(f"/proc/self/fdinfo/{areas.mover.life.fd}").read_text()
    pid = int(known.partition("Pid:")[2].split()[0])
    secret = running_hub.tokens["staging"].encode()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            if "r" in line.split()[1] and "[v" not in line:
                assert secret not in os.pread(memory.fileno(), end - start, start)
