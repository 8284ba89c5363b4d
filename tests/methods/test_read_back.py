"""A bucket's content that is read back before it counts as delivered, where the request asks for that."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import pytest

from stager.errors import DestinationDiffers, DestinationTampered, LeaseLost, StagingError
from stager.methods.bucket_transfer import SENT_LAST_BYTES
from stager.methods.store_area import StoreArea
from stager.runs.sender import Sender
from stager.vocabulary import OnConflict, Verify
from tests.methods.bucket_peer import BucketPeer, hurried_copy
from tests.methods.conftest import Areas
from tests.methods.staging_site import CONTENT, Site
from tests.peers.faulty_proxy import Call, FaultyProxy, answered, passed

FOREVER = 1 << 20
# Small enough to be sent by one call, and so large that parts are sent before it is published.
MIDDLING = CONTENT.ljust(SENT_LAST_BYTES + 1, b"\0")


@dataclass(frozen=True)
class Behind:
    """A bucket that is reached through a proxy, and who reads back by that another content."""

    site: Site
    proxy: FaultyProxy

    def spoil(self, content: bytes) -> None:
        """Answer whoever reads the whole of an object with something of the same length."""
        spoilt = answered("200 OK", content[:-1] + bytes([content[-1] ^ 1]))

        def fault(call: Call) -> None:
            (passed if b"\r\nrange:" in call.head.lower() else spoilt)(call)

        self.proxy.break_calls("content", fault, times=FOREVER)

    def keys(self) -> list[str]:
        assert isinstance(self.site.peer, BucketPeer)
        return self.site.peer.keys_beside("x")


@pytest.fixture
def behind(bucket_site: Site, store_area: StoreArea, areas: Areas) -> Iterator[Behind]:
    with FaultyProxy.before(store_area.endpoint).running() as proxy:
        through = store_area.model_copy(update={"endpoint": proxy.in_front_of(store_area.endpoint).rstrip("/")})
        with hurried_copy(through) as method:
            worker = Sender(method, areas.mover, {}, living=lambda _: ())
            yield Behind(replace(bucket_site, worker=worker), proxy)
            worker.end()


@pytest.mark.parametrize("content", [CONTENT, MIDDLING])
def test_what_is_read_back_as_it_was_sent_is_delivered(behind: Behind, content: bytes) -> None:
    site = behind.site
    (site.source / "file").write_bytes(content)
    assert site.stage(replace(site.item("file", "file"), verify=Verify.READ))
    assert site.peer.read("file") == content


@pytest.mark.parametrize("content", [CONTENT, MIDDLING])
def test_what_is_read_back_otherwise_is_not_delivered_and_does_not_stay(behind: Behind, content: bytes) -> None:
    site = behind.site
    (site.source / "file").write_bytes(content)
    behind.spoil(content)
    with pytest.raises(DestinationTampered, match="another content than what was sent"):
        site.stage(replace(site.item("file", "file"), verify=Verify.READ))
    assert behind.keys() == []
    assert site.stage(site.item("file", "other"))  # who does not ask for it does not read it


def test_a_directory_that_is_read_back_otherwise_gets_no_manifest(behind: Behind) -> None:
    site = behind.site
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree/a").write_bytes(CONTENT)
    behind.spoil(CONTENT)
    with pytest.raises(DestinationTampered, match="another content than what was sent"):
        site.stage(replace(site.item("tree", "product"), verify=Verify.READ))
    assert behind.keys() == []


def test_who_has_lost_the_lease_while_all_was_read_back_writes_no_manifest(behind: Behind) -> None:
    site, asked = behind.site, []
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree/a").write_bytes(CONTENT)

    def refuse(numbers: Collection[int]) -> dict[int, StagingError]:
        asked.append(behind.keys())
        return {number: LeaseLost("another") for number in numbers} if len(asked) > 1 else {}

    with pytest.raises(LeaseLost):
        site.stage(replace(site.item("tree", "product"), verify=Verify.READ), refuse=refuse)
    left = behind.keys()
    assert "product/a" in asked[-1]
    assert "product/.stager-manifest.json" not in left


@pytest.mark.parametrize("content", [CONTENT, MIDDLING])
def test_what_is_there_already_is_read_too_before_it_counts_as_identical(behind: Behind, content: bytes) -> None:
    site = behind.site
    (site.source / "file").write_bytes(content)
    (site.source / "tree").mkdir(mode=0o755)
    (site.source / "tree/a").write_bytes(content)
    for source in ("file", "tree"):
        asked = replace(site.item(source, source), verify=Verify.READ)
        assert site.stage(asked)
        assert site.stage(asked) is None
        behind.spoil(content)
        with pytest.raises(DestinationDiffers, match="is read back with another content than the source has"):
            site.stage(asked)
        assert site.stage(site.item(source, source)) is None
        behind.proxy.break_calls("content", passed, times=FOREVER)


def test_what_replaces_another_is_read_back_too(behind: Behind) -> None:
    site = behind.site
    site.peer.put("file", b"old")
    (site.source / "file").write_bytes(CONTENT)
    asked = replace(site.item("file", "file"), verify=Verify.READ, on_conflict=OnConflict.REPLACE)
    assert site.stage(asked)
    assert site.peer.read("file") == CONTENT
