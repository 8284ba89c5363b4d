"""What a whole run makes of what it is given: its record says it all, and Prefect shows it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stager.models import Status
from stager.records.items import manifest_of
from stager.runs.batch_size import BATCH_SIZE, LARGE_BATCH_SIZE, SMALL_ITEM_BYTES
from stager.vocabulary import ManifestEntry
from tasks.shown import as_text
from tests.flows.conftest import STEPS

if TYPE_CHECKING:
    from tests.flows.conftest import Site

pytestmark = pytest.mark.stack

NAMES = ["new\nline", "not UTF-8 \udcff", "Case", "case", "n" * 255, " a ", "ελ/\N{TELESCOPE}"]


def make_file(storage: Path, name: str) -> bytes:
    content = name.encode("utf-8", "surrogateescape")
    (storage / name).parent.mkdir(exist_ok=True)
    (storage / name).write_bytes(content)
    return content


def test_any_path_goes_through_a_whole_run(site: Site) -> None:
    contents = {name: make_file(site.folder / "storage", name) for name in NAMES}
    request_id = site.request(*((name, name) for name in contents))
    state, _ = site.run("local_copy", request_id)
    assert state.startswith("Completed"), state
    assert {name: (site.users / "alice" / name).read_bytes() for name in contents} == contents
    assert [file.local_path_on_storage for file in site.files(request_id)] == list(contents)
    assert [file.relative_path for file in site.files(request_id)] == list(contents)


def checksum(content: bytes) -> str:
    return f"{zlib.adler32(content):08x}"


def test_a_directorys_manifest_is_read_back_as_its_files_are(site: Site) -> None:
    contents = {f"{number % 7}/{number:04}": str(number).encode() for number in range(5000)}  # more than one part
    for name, content in contents.items():
        (site.folder / "storage/tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (site.folder / "storage/tree" / name).write_bytes(content)
    request_id = site.request(("tree", "tree"))
    site.run("local_copy", request_id)
    [file] = site.files(request_id)
    kept = list(manifest_of(site.database, file.id))
    assert kept == [
        ManifestEntry(path=name, size_bytes=len(contents[name]), checksum=checksum(contents[name]))
        for name in sorted(contents)
    ]
    lines = "".join(f"{entry.checksum} {entry.size_bytes} {entry.path}\n" for entry in kept)
    assert (file.status, file.checksum) == (Status.COMPLETED, hashlib.sha256(lines.encode()).hexdigest())


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_step_is_one_task_run_a_batch_however_many_files_there_are(site: Site) -> None:
    request_id = site.request(*(("a.fits", str(number)) for number in range(257)))
    site.run("local_copy", request_id)
    assert Counter(site.task_runs(request_id, 2 * len(STEPS))) == Counter({(step, 1): 2 for step in STEPS})


@pytest.mark.parametrize(
    ("size_bytes", "items", "batches"),
    [(1, BATCH_SIZE + LARGE_BATCH_SIZE + 1, 3), (2 * SMALL_ITEM_BYTES, 2 * BATCH_SIZE + 1, 3)],
)
@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_once_items_are_seen_to_be_small_more_of_them_go_together(
    site: Site, size_bytes: int, items: int, batches: int
) -> None:
    with (site.folder / "storage/b.fits").open("wb") as file:
        file.truncate(size_bytes)
    request_id = site.request(*(("b.fits", str(number)) for number in range(items)))
    site.run("local_copy", request_id)
    assert site.statuses([request_id]) == [Status.COMPLETED]
    assert Counter(site.task_runs(request_id, batches * len(STEPS))) == Counter({(step, 1): batches for step in STEPS})


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_prefect_shows_a_table_of_the_result_and_a_link_to_the_record(site: Site) -> None:
    request_id = site.request(("a.fits", "b.fits"), ("missing", "c.fits"))
    site.run("local_copy", request_id)
    shown = {artifact["type"]: artifact["data"] for artifact in site.artifacts(request_id)}
    assert f"/requests/{request_id})" in shown["markdown"]
    rows = json.loads(shown["table"])
    assert list(rows[0])[:3] == ["Source", "Status", "Reason"]  # the widest, a whole path, comes after these
    assert rows[0]["Reason"].startswith("Source path does not exist")
    destinations = {row["Destination"] for row in rows}
    assert destinations == {as_text(str(site.users / "alice" / name)) for name in ("b.fits", "c.fits")}
    assert f'"Checksum": "adler32:{checksum((site.folder / "storage/a.fits").read_bytes())}"' in shown["table"]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_a_symbolic_link_leads_to_the_source_as_its_users_see_it(site: Site) -> None:
    site.settings["STAGER_SOURCE_PATH_FOR_USERS"] = "/products"
    state, _ = site.run("local_symlink", site.request(("a.fits", "b.fits"), method="local_symlink"))
    assert state.startswith("Completed"), state
    assert (site.users / "alice/b.fits").readlink() == Path("/products/a.fits")


@pytest.mark.parametrize("read_as", ["user", "service"])
@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
def test_no_link_leads_a_run_out_of_the_part_of_an_area_that_was_granted(site: Site, read_as: str) -> None:
    site.settings["STAGER_SOURCE_READ_AS"] = read_as
    storage = site.folder / "storage"
    make_file(storage, "public/one.fits")
    make_file(storage, "secret")
    (storage / "public/way").symlink_to("..")
    (storage / "public/out").symlink_to("../secret")
    sources = ("public/one.fits", "public/out", "public/way/secret", "public/way")
    items = [(source, str(number)) for number, source in enumerate(sources)]
    request = site.request(*items, is_bounded=True)

    site.run("local_copy", request)

    ended = [(file.status, file.error_type) for file in site.files(request)]
    assert ended == [(Status.COMPLETED, None), *[(Status.FAILED, "SourceUnreadable")] * 3]
    assert [path.name for path in (site.users / "alice").iterdir()] == ["0"]
