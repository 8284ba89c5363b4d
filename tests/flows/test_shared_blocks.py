"""Where files share blocks, a source that was delivered here before is not read again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stager.models import Status
from stager.records.items import manifest_of
from tests.flows.conftest import site_of
from tests.loop_disks import make_disk, missing_for, mounted

if TYPE_CHECKING:
    from tests.flows.conftest import Site

DISK_BYTES = 512 << 20
READS = "pread64,preadv,preadv2"

MISSING = missing_for("xfs", "btrfs") or ("" if shutil.which("strace") else "needs strace")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(bool(MISSING), reason=MISSING or "-"),
]


@pytest.fixture(params=["xfs", "btrfs"])
def site_with_shared_blocks(request: pytest.FixtureRequest, prefect_api: str, tmp_path: Path) -> Iterator[Site]:
    """A site on a file system of its own."""
    with (
        mounted(make_disk(tmp_path / "disk", request.param, DISK_BYTES)) as place,
        site_of(place, f"sqlite:///{tmp_path}/records.db", prefect_api) as made,
    ):
        yield made


def stage(site: Site, log: Path) -> tuple[list[tuple[Any, ...]], int]:
    """Stage a file and a tree, and return what the record says, and how often the sources were read."""
    request_id = site.request(("large", "large"), ("tree", "tree"))
    state, _ = site.run(
        "local_copy",
        request_id,
        prefix=["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-o", str(log), "-e", f"trace={READS}"],
    )
    assert state.startswith("Completed"), state
    files = site.files(request_id)
    assert [file.status for file in files] == [Status.COMPLETED] * 2
    kept = [(file.size_bytes, file.checksum, list(manifest_of(site.database, file.id))) for file in files]
    reads = log.read_text(errors="replace").splitlines()
    return kept, sum(f"<{site.folder}/storage/{name}" in line for line in reads for name in ("large", "tree"))


def test_a_source_that_was_delivered_here_before_is_not_read_again(
    site_with_shared_blocks: Site, tmp_path: Path
) -> None:
    site = site_with_shared_blocks
    (site.folder / "storage/large").write_bytes(os.urandom(16 << 20))
    (site.folder / "storage/tree").mkdir()
    for number in range(20):
        (site.folder / f"storage/tree/{number}").write_bytes(os.urandom(20_000))
    kept, reads = stage(site, tmp_path / "log")
    assert reads >= 21
    shutil.rmtree(site.users / "alice")
    assert stage(site, tmp_path / "log") == (kept, 0)
    for name in ("large", "tree/7"):
        assert (site.users / "alice" / name).read_bytes() == (site.folder / "storage" / name).read_bytes()


def test_a_checksum_that_is_not_on_record_is_taken_by_reading(site_with_shared_blocks: Site) -> None:
    site = site_with_shared_blocks
    content = os.urandom(16 << 20)
    (site.folder / "storage/large").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    ended = []
    for checksum in (None, f"sha256:{sha256}", f"sha256:{sha256[::-1]}"):
        request_id = site.request(("large", "large"), checksum=checksum)
        site.run("local_copy", request_id)
        ended.append((site.files(request_id)[0].status, (site.users / "alice/large").exists()))
        (site.users / "alice/large").unlink(missing_ok=True)
    assert ended == [(Status.COMPLETED, True), (Status.COMPLETED, True), (Status.FAILED, False)]
