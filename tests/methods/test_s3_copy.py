"""What holds in an object store beyond the promises of every method."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stager import engine
from stager.errors import (
    ConfigurationError,
    DestinationDiffers,
    KeyNotTaken,
    LeaseLost,
    PathOutsideArea,
    PeerStalled,
    SourceChanged,
    StagingError,
)
from stager.methods import bucket_comparison, bucket_journal, bucket_manifest, bucket_publication, bucket_transfer
from stager.methods.bucket_comparison import BucketDiffers, objects_at
from stager.methods.bucket_copy import BucketCopy
from stager.methods.bucket_journal import Journal, sweep
from stager.methods.bucket_path import BucketPath, bucket_path
from stager.methods.bucket_removal import discard
from stager.methods.bucket_staged import BucketStaged
from stager.methods.bucket_transfer import SENT_LAST_BYTES
from stager.methods.method import ConnectedMethod
from stager.methods.s3_copy import S3Copy
from stager.methods.store_area import StoreArea
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.completion import Sent
from stager.peers.s3.objects import PART_BYTES, StoredObject
from stager.peers.s3.single import put
from stager.vocabulary import OnConflict
from tests.methods.bucket_peer import BucketPeer
from tests.methods.staging_site import CONTENT, Site

LARGE = os.urandom(SENT_LAST_BYTES + 1)
VALUES = {"endpoint": "https://s3.example.org", "bucket": "staging", "access_key": "key", "secret_key": "secret"}


def peer_of(site: Site) -> BucketPeer:
    assert isinstance(site.peer, BucketPeer)
    return site.peer


def place_of(site: Site, path: str) -> BucketPath:
    place = site.peer.place(path)
    assert isinstance(place, BucketPath)
    return place


def all_keys(site: Site) -> list[str]:
    """Return all that the bucket has of Alice's, hidden or not."""
    return peer_of(site).keys_beside("x")


def unfinished(site: Site) -> list[str]:
    return [one.key for one in peer_of(site).bucket.unfinished(place_of(site, "x").parent.inside)]


def make_tree(site: Site) -> None:
    (site.source / "tree/deep").mkdir(parents=True)
    (site.source / "tree/a").write_bytes(CONTENT)
    (site.source / "tree/deep/large").write_bytes(LARGE)
    (site.source / "tree/none").touch()
    for made in (site.source / "tree", *(site.source / "tree").rglob("*")):
        made.chmod(0o755)


def replaced(site: Site, source: str, destination: str = "product") -> None:
    site.stage(replace(site.item(source, destination), on_conflict=OnConflict.REPLACE))


def test_a_large_file_is_seen_at_one_moment_and_leaves_no_parts(bucket_site: Site) -> None:
    (bucket_site.source / "large").write_bytes(LARGE)
    seen: list[list[str]] = []

    def look(_: Collection[int]) -> dict[int, StagingError]:
        seen.append([key for key in all_keys(bucket_site) if not key.startswith(".stager-")])
        assert unfinished(bucket_site)
        return {}

    bucket_site.stage(bucket_site.item("large", "large"), refuse=look)
    assert seen == [[]]
    assert bucket_site.peer.read("large") == LARGE
    assert all_keys(bucket_site) == ["large"]
    assert unfinished(bucket_site) == []


def test_a_directory_counts_as_delivered_once_its_manifest_is_there_which_is_last(bucket_site: Site) -> None:
    make_tree(bucket_site)
    seen: list[list[str]] = []

    def look(_: Collection[int]) -> dict[int, StagingError]:
        seen.append(all_keys(bucket_site))
        return {}

    published = bucket_site.stage(bucket_site.item("tree", "product"), refuse=look)
    assert published is not None
    assert (published.kind, published.file_count) == ("directory", 3)
    assert "product/.stager-manifest.json" not in seen[0]
    assert all_keys(bucket_site) == [
        "product/.stager-manifest.json",
        "product/a",
        "product/deep/large",
        "product/none",
    ]
    manifest = json.loads(bucket_site.peer.read("product/.stager-manifest.json"))
    assert (manifest["form"], manifest["directories"]) == ("skao-staging-manifest", ["", "deep"])
    assert [(file["path"], file["size_bytes"]) for file in manifest["files"]] == [
        ("a", len(CONTENT)),
        ("deep/large", len(LARGE)),
        ("none", 0),
    ]


def test_what_is_identical_is_known_without_a_record_of_ours(bucket_site: Site) -> None:
    make_tree(bucket_site)
    (bucket_site.source / "large").write_bytes(LARGE)
    for source in ("tree", "large", "a.fits"):
        assert bucket_site.stage(bucket_site.item(source, source))
        assert bucket_site.stage(bucket_site.item(source, source)) is None


@pytest.mark.parametrize("how", ["changed", "one more", "one less", "no manifest"])
def test_a_directory_that_somebody_has_changed_is_neither_taken_for_delivered_nor_removed(
    bucket_site: Site, how: str
) -> None:
    make_tree(bucket_site)
    delivery = bucket_site.delivered(bucket_site.item("tree", "product"))
    peer = peer_of(bucket_site)
    match how:
        case "changed":
            peer.put("product/a", bytes(reversed(CONTENT)))
        case "one more":
            peer.put("product/more")
        case "one less":
            peer.delete("product/none")
        case _:
            put(peer.bucket, f"{place_of(bucket_site, 'product').inside}.stager-manifest.json", b"{}", replace=True)
    before = all_keys(bucket_site)
    with pytest.raises(DestinationDiffers, match="not what was delivered"):
        bucket_site.remove(delivery)
    with pytest.raises(DestinationDiffers):
        bucket_site.stage(bucket_site.item("tree", "product"))
    assert all_keys(bucket_site) == before


def test_what_somebody_writes_in_the_last_moment_is_neither_replaced_nor_removed(bucket_site: Site) -> None:
    peer = peer_of(bucket_site)

    def write(_: Collection[int]) -> dict[int, StagingError]:
        peer.put("product")
        return {}

    delivery = bucket_site.delivered(bucket_site.item(destination="product"))
    with pytest.raises(DestinationDiffers, match="not what was delivered"):
        bucket_site.remove(delivery, refuse=write)
    assert bucket_site.peer.read("product") == b"precious"
    bucket_site.begin(bucket_site.item(destination="new"))
    for step in ("check source", "check duplicate", "transfer", "set read-only"):
        bucket_site.do(step)
    peer.put("new")
    with pytest.raises(DestinationDiffers, match="changed while the source was copied"):
        bucket_site.do("publish")
    bucket_site.worker.end()
    assert bucket_site.peer.read("new") == b"precious"


# No file becomes a directory: in this store objects are files, below which nothing can be.
@pytest.mark.parametrize(
    ("before", "after"),
    [
        *((before, after) for before in ("a.fits", "tree", "another tree") for after in ("a.fits", "large")),
        *((before, "tree") for before in ("tree", "another tree")),
    ],
)
def test_whatever_was_there_is_replaced_as_a_whole(bucket_site: Site, before: str, after: str) -> None:
    make_tree(bucket_site)
    (bucket_site.source / "large").write_bytes(LARGE)
    (bucket_site.source / "another tree").mkdir(mode=0o755)
    (bucket_site.source / "another tree/old").write_bytes(b"old")
    bucket_site.stage(bucket_site.item(before, "product"))
    replaced(bucket_site, after)
    whole = {"tree": ["product/.stager-manifest.json", "product/a", "product/deep/large", "product/none"]}
    assert all_keys(bucket_site) == whole.get(after, ["product"])
    assert unfinished(bucket_site) == []
    assert bucket_site.stage(bucket_site.item(after, "product")) is None


def test_a_replacement_that_fails_before_it_is_published_changes_nothing(bucket_site: Site) -> None:
    make_tree(bucket_site)
    bucket_site.stage(bucket_site.item("tree", "product"))
    before = {key: peer_of(bucket_site).bucket.look(key) for key in all_keys(bucket_site)}
    (bucket_site.source / "tree/a").write_bytes(b"another")
    item = replace(bucket_site.item("tree", "product"), on_conflict=OnConflict.REPLACE)
    with pytest.raises(LeaseLost):
        bucket_site.stage(item, refuse=lambda items: {one: LeaseLost("product") for one in items})
    assert {key: peer_of(bucket_site).bucket.look(key) for key in all_keys(bucket_site)} == before
    assert unfinished(bucket_site) == []


def test_a_small_file_that_changes_before_it_is_published_is_not_delivered(bucket_site: Site) -> None:
    bucket_site.begin(bucket_site.item(destination="product"))
    for step in ("check source", "check duplicate", "transfer", "set read-only"):
        bucket_site.do(step)
    (bucket_site.source / "a.fits").write_bytes(bytes(reversed(CONTENT)))
    with pytest.raises(SourceChanged):
        bucket_site.do("publish")
    bucket_site.worker.end()
    assert all_keys(bucket_site) == []


def test_a_sweep_removes_what_is_on_record_as_ours_and_of_nobody_living(bucket_site: Site) -> None:
    peer, place = peer_of(bucket_site), place_of(bucket_site, "data/product")
    journal = Journal(peer.bucket, place)
    journal.note_directory()
    put(peer.bucket, f"{place.inside}ours", b"1", metadata=journal.metadata)
    put(peer.bucket, f"{place.inside}theirs", b"2")
    answer = peer.bucket.ask("create_multipart_upload", f"{place.inside}parts")
    journal.note_parts(f"{place.inside}parts", answer["UploadId"])
    peer.bucket.ask("create_multipart_upload", f"{place.inside}of-somebody")
    put(peer.bucket, f"{place.parent.inside}.stager-notes.txt", b"theirs")
    assert sweep(peer.bucket, place.parent, living=lambda digits: digits) == 0
    assert len(all_keys(bucket_site)) == 5
    assert sweep(peer.bucket, place.parent, living=lambda _: ()) == 1
    assert all_keys(bucket_site) == ["data/.stager-notes.txt", "data/product/theirs"]
    assert unfinished(bucket_site) == [f"{place.inside}of-somebody"]


def test_parts_of_which_the_store_may_be_making_an_object_are_left_to_the_sweep(
    bucket_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_journal, "LONGEST_COMPLETION", timedelta())
    bucket, place = peer_of(bucket_site).bucket, place_of(bucket_site, "data/product")
    survey = engine.survey(bucket_site.item("a.fits", "data/product").source)
    staged = BucketStaged(place=place, survey=survey, journal=Journal(bucket, place), previous={})
    sent = Sent(
        key=place.object_key,
        upload_id=bucket.begun(place.object_key),
        attempt="1",
        size_bytes=1,
        part_bytes=1,
        etags=[],
        md5s=[],
        checksums={},
        may_be_ending=True,
    )
    staged.journal.note_parts(sent.key, sent.upload_id)
    staged.journal.note_completion(sent.upload_id)
    staged.sent[""] = sent
    discard(bucket, staged)
    assert (unfinished(bucket_site), len(all_keys(bucket_site))) == ([sent.key], 1)
    assert sweep(bucket, place.parent, living=lambda _: ()) == 1
    assert (unfinished(bucket_site), all_keys(bucket_site)) == ([], [])


def test_a_record_that_is_forged_has_nothing_removed_elsewhere(bucket_site: Site) -> None:
    peer, place, other = (peer_of(bucket_site), *(place_of(bucket_site, path) for path in ("data/a", "data/b")))
    theirs = Journal(peer.bucket, other)
    put(peer.bucket, f"{other.inside}precious", b"1", metadata=theirs.metadata)
    journal = Journal(peer.bucket, place, theirs.delivery)
    journal.note_directory()
    answer = peer.bucket.ask("create_multipart_upload", f"{other.inside}parts")
    journal.note_parts(f"{other.inside}parts", answer["UploadId"])
    assert sweep(peer.bucket, place.parent, living=lambda _: ()) == 1
    assert all_keys(bucket_site) == ["data/b/precious"]
    assert unfinished(bucket_site) == [f"{other.inside}parts"]


def stalled(*_: Any, **__: Any) -> Any:
    raise PeerStalled(str(VALUES["endpoint"]), "silent")


@pytest.mark.parametrize(("name", "own"), [("large", "product"), ("tree", "product/deep/large")])
def test_an_upload_that_may_be_put_together_is_not_aborted_and_stays_on_record(
    bucket_site: Site, monkeypatch: pytest.MonkeyPatch, name: str, own: str
) -> None:
    make_tree(bucket_site)
    for path in (bucket_site.source / "large", bucket_site.source / "tree/deep/large"):
        path.write_bytes(LARGE * 6)  # so large that it goes in parts, also into a new directory
    peer, place = peer_of(bucket_site), place_of(bucket_site, "product")
    with monkeypatch.context() as patched:
        patched.setattr(bucket_transfer, "put_together", stalled)
        with pytest.raises(PeerStalled):
            bucket_site.stage(bucket_site.item(name, "product"))
    assert unfinished(bucket_site) == [f"{place.parent.inside}{own}"]
    left = all_keys(bucket_site)
    assert left
    assert all(key.startswith(".stager-") for key in left)
    assert sweep(peer.bucket, place.parent, living=lambda _: ()) == 0
    assert all_keys(bucket_site) == left
    monkeypatch.setattr(bucket_journal, "LONGEST_COMPLETION", timedelta())
    assert sweep(peer.bucket, place.parent, living=lambda _: ()) == 1
    assert all_keys(bucket_site) == unfinished(bucket_site) == []


@pytest.mark.parametrize("name", ["a.fits", "large"])
def test_what_has_replaced_an_object_stays_whatever_goes_wrong_then(
    bucket_site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (bucket_site.source / "large").write_bytes(LARGE)
    peer_of(bucket_site).put("product")
    monkeypatch.setattr(bucket_publication, "_require_what_was_sent", stalled)
    with pytest.raises(PeerStalled):
        replaced(bucket_site, name)
    assert bucket_site.peer.read("product") == (bucket_site.source / name).read_bytes()
    assert all_keys(bucket_site) == ["product"]
    assert unfinished(bucket_site) == []


def test_what_a_removal_that_fails_has_left_is_swept(bucket_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(bucket_site)
    delivery = bucket_site.delivered(bucket_site.item("tree", "product"))
    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "delete_many", stalled)
        with pytest.raises(PeerStalled):
            bucket_site.remove(delivery)
    assert "product/a" in all_keys(bucket_site)
    place = place_of(bucket_site, "product")
    assert sweep(peer_of(bucket_site).bucket, place.parent, living=lambda _: ()) == 1
    assert all_keys(bucket_site) == []


def test_a_marker_of_a_folder_is_no_object_of_its_own(bucket_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, place = peer_of(bucket_site).bucket, place_of(bucket_site, "product")
    put(bucket, f"{place.inside}a", b"1")
    listed = [*bucket.list(place.inside)]
    markers = [replace(listed[0], key=key, size_bytes=0) for key in (place.inside, f"{place.inside}sub/")]
    monkeypatch.setattr(bucket, "list", lambda _: [*markers, *listed])
    assert [*objects_at(bucket, place)] == ["a"]


def test_no_object_is_compared_by_parts_that_are_too_small(bucket_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_comparison, "abilities_of", lambda _: SimpleNamespace(etag_is_md5=True))
    bucket = peer_of(bucket_site).bucket
    of_parts = StoredObject(key="a", size_bytes=1, etag=f"{'0' * 32}-1", metadata={PART_BYTES: str(5 << 20)})
    bucket_comparison._by_etag(bucket, of_parts)  # noqa: SLF001
    with pytest.raises(BucketDiffers, match="no checksum"):
        bucket_comparison._by_etag(bucket, replace(of_parts, metadata={PART_BYTES: "1"}))  # noqa: SLF001


def test_a_manifest_that_is_too_large_is_not_read(bucket_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(bucket_site)
    bucket_site.stage(bucket_site.item("tree", "product"))
    monkeypatch.setattr(bucket_manifest, "_MOST_BYTES", 1)
    monkeypatch.setattr(bucket_manifest, "_MOST_BYTES_OF_ONE", 1)
    with pytest.raises(DestinationDiffers, match="has no manifest"):
        bucket_site.stage(bucket_site.item("tree", "product"))


@pytest.mark.parametrize(
    "odd",
    [
        {"directories": 5},
        {"directories": [["a"]]},
        {"files": {"a": 1}},
        {"files": [{"path": 1, "size_bytes": 1, "adler32": "", "sha256": "", "etag": ""}]},
        {"files": [{"path": "a", "more": 1}]},
        {"delivery": None},
        "[" * 100_000,
        "null",
    ],
)
def test_a_manifest_that_somebody_else_has_written_is_none_whatever_it_says(bucket_site: Site, odd: object) -> None:
    make_tree(bucket_site)
    bucket_site.stage(bucket_site.item("tree", "product"))
    peer, key = peer_of(bucket_site), f"{place_of(bucket_site, 'product').inside}.stager-manifest.json"
    said = json.loads(bucket_site.peer.read("product/.stager-manifest.json"))
    content = json.dumps(said | odd) if isinstance(odd, dict) else str(odd)
    put(peer.bucket, key, content.encode(), replace=True)
    with pytest.raises(DestinationDiffers, match="has no manifest"):
        bucket_site.stage(bucket_site.item("tree", "product"))


def test_an_entry_that_cannot_be_undone_stays_and_is_in_no_others_way(
    bucket_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, folder = peer_of(bucket_site).bucket, place_of(bucket_site, "data/product").parent
    journals = [Journal(bucket, folder.within(name)) for name in ("a", "b", "c")]
    for journal in journals:
        journal.note_parts(folder.within(journal._name).object_key, "an id")  # noqa: SLF001
    of_another = {"digits": "0" * 16, "delivery": "1" * 16}
    put(bucket, f"{folder.inside}.stager-{of_another['digits']}-{of_another['delivery']}", b'{"name": "a"}')
    put(bucket, f"{folder.inside}.stager-{of_another['digits']}-{'2' * 16}", b"")
    monkeypatch.setattr(bucket, "abort", lambda key, _: stalled() if key.endswith("b") else False)
    assert sweep(bucket, folder, living=lambda _: ()) == 3
    left = [key for key in all_keys(bucket_site) if key.startswith("data/.stager-")]
    assert len(left) == 2
    assert any(journals[1].delivery in key for key in left)
    assert any(of_another["delivery"] in key for key in left)


@pytest.mark.parametrize(
    "path", [".stager-manifest.json", "data/.stager-x", "a\x01b", "a\ufffeb", "x" * 250 + "/y" * 500]
)
def test_a_destination_that_makes_no_key_or_one_of_ours_is_refused(bucket_site: Site, path: str) -> None:
    with pytest.raises(KeyNotTaken):
        bucket_site.item(destination=path)


@pytest.mark.parametrize("name", [b".stager-manifest.json", b"\xff", b"a\x1fb"])
def test_a_name_in_a_directory_that_makes_no_key_is_refused_before_anything_is_sent(
    bucket_site: Site, name: bytes
) -> None:
    (bucket_site.source / "tree").mkdir(mode=0o755)
    Path(os.fsdecode(os.fsencode(bucket_site.source / "tree") + b"/" + name)).write_bytes(b"1")
    with pytest.raises(KeyNotTaken):
        bucket_site.stage(bucket_site.item("tree", "product"))
    assert all_keys(bucket_site) == []


def test_a_key_that_leaves_no_room_for_our_own_names_is_refused_before_anything_is_sent(bucket_site: Site) -> None:
    make_tree(bucket_site)
    left = 1010 - len(place_of(bucket_site, "x").parent.inside)
    with pytest.raises(KeyNotTaken, match="longer"):
        bucket_site.stage(bucket_site.item("tree", "/".join(["y"] * (left // 2))))
    assert all_keys(bucket_site) == []


def test_two_names_that_look_the_same_are_refused(bucket_site: Site) -> None:
    (bucket_site.source / "tree").mkdir(mode=0o755)
    for name in ("\u00e9", "e\u0301"):
        (bucket_site.source / "tree" / name).touch()
    with pytest.raises(KeyNotTaken, match="looks the same"):
        bucket_site.stage(bucket_site.item("tree", "product"))


@pytest.mark.parametrize("path", ["../bob/a", "a/../../bob/a", "/bob/a", "%2e%2e/bob/a", "..%2fbob", "a//b", "./a"])
def test_no_path_leaves_what_is_the_users(path: str) -> None:
    own = {"endpoint": "https://s3.example.org", "bucket": "staging", "area": "user", "prefix": "users/alice"}
    try:
        place = bucket_path(path, **own)
    except PathOutsideArea:
        assert ".." in path or path.startswith("/")
    else:
        assert place.object_key.startswith("users/alice/")
        assert ".." not in place.object_key.split("/")


def test_each_user_has_a_prefix_or_a_bucket_of_their_own() -> None:
    by_prefix = StoreArea.model_validate({**VALUES, "prefix": "users/{username}"})
    assert {(one.bucket, one.prefix) for one in map(by_prefix.of_user, ("alice", "bob"))} == {
        ("staging", "users/alice"),
        ("staging", "users/bob"),
    }
    by_bucket = StoreArea.model_validate({**VALUES, "buckets": {"*": "{username}-data", "carol": "c-2"}})
    assert [(one.bucket, one.prefix) for one in map(by_bucket.of_user, ("alice", "carol"))] == [
        ("alice-data", ""),
        ("c-2", ""),
    ]
    with pytest.raises(ConfigurationError, match="no name of a bucket"):
        by_bucket.of_user("a b")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"prefix": "data"},
        {"buckets": {"alice": "alice-data"}},
        {"buckets": {"*": "everybody"}},
        {"buckets": {"*": "{username}-data", "alice": "shared", "bob": "shared"}},
        {"buckets": {"*": "{username}-data", "carol": "alice-data"}},
        {"buckets": {"*": "{username}-data", "carol": "Alice-Data"}},
        {"buckets": {"*": "{username}-data", "carol": "tenant:alice-data"}},
        {"buckets": {"*": "{username}-data", "alice": "tenant:shared", "bob": "shared"}},
        {"buckets": {"*": "{username}-data", "alice": "shared-{username}", "bob": "shared-alice"}},
    ],
)
def test_an_operator_cannot_let_users_write_over_each_others_data(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="users"):
        StoreArea.model_validate({**VALUES, **said})


def test_what_a_store_is_able_to_do_is_tried_once_by_a_process_with_the_same_keys(store_area: StoreArea) -> None:
    with S3Copy().connected(store_area, None) as first:
        able = abilities_of(bucket_of(first))
    with S3Copy().connected(store_area, None) as second:
        assert bucket_of(second).abilities is able
    with S3Copy().connected(store_area.model_copy(update={"access_key": "another"}), None) as other:
        assert bucket_of(other).abilities is None


def bucket_of(method: ConnectedMethod) -> Bucket:
    assert isinstance(method, BucketCopy)
    return method.bucket
