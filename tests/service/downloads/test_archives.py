from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.downloads.conftest import Shelf

pytestmark = pytest.mark.any_database

FORMATS = ["tar", "zip"]
LARGE = 3 * 1024 * 1024 + 7
ODD_NAMES = ["new\nline", 'quo"te', "naïve €", "a" * 120, "not\udcffutf-8"]


@pytest.fixture(scope="session")
def folder(shelf: Shelf) -> Path:
    """A product with whatever a directory may hold."""
    shelf.put("product/big.bin", shelf.content(2_000_001))
    shelf.put("product/empty", b"")
    shelf.put("product/deep/er/file", b"deep")
    for name in ODD_NAMES:
        shelf.put(f"product/odd/{name}", name.encode("utf-8", "surrogateescape"))
    product = shelf.door.source / "product"
    (product / "nothing-in-it").mkdir(exist_ok=True)
    (product / "link").symlink_to("deep/er/file")
    (product / "run").touch(0o755)
    time.sleep(2.1)  # its own times are no news any more
    return product


@pytest.mark.parametrize("archive", FORMATS)
def test_a_directorys_archive_says_its_length_and_is_the_same_each_time(
    shelf: Shelf, folder: Path, archive: str
) -> None:
    first, again = (shelf.get(folder, archive=archive) for _ in range(2))
    head = shelf.head(folder, archive=archive)

    assert first.content == again.content
    assert first.headers["content-length"] == head.headers["content-length"] == str(len(first.content))
    assert first.headers["etag"] == again.headers["etag"] == head.headers["etag"]
    assert first.headers["content-disposition"] == f'attachment; filename="product.{archive}"'


def test_a_tar_holds_every_name_and_byte(shelf: Shelf, folder: Path, tmp_path: Path) -> None:
    answer = shelf.get(folder)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        tar.extractall(tmp_path, filter="tar")

    assert answer.headers["content-type"] == "application/x-tar"
    assert subprocess.run(["diff", "-r", folder, tmp_path / "product"], check=False).returncode == 0
    assert sorted(path.name for path in (tmp_path / "product" / "odd").iterdir()) == sorted(ODD_NAMES)
    assert (tmp_path / "product" / "link").readlink().as_posix() == "deep/er/file"
    assert stat.S_IMODE((tmp_path / "product" / "run").stat().st_mode) == 0o755
    assert (tmp_path / "product" / "big.bin").stat().st_mtime == (folder / "big.bin").stat().st_mtime


def test_a_zip_holds_every_byte_under_a_name_in_utf_8(shelf: Shelf, folder: Path) -> None:
    answer = shelf.get(folder, archive="zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}

    assert answer.headers["content-type"] == "application/zip"
    assert found["product/big.bin"] == (folder / "big.bin").read_bytes()
    assert found["product/odd/not%FFutf-8"] == b"not\xffutf-8"
    assert found["product/nothing-in-it/"] == found["product/empty"] == b""
    assert (found["product/link"], stat.S_ISLNK(modes["product/link"])) == (b"deep/er/file", True)
    assert stat.S_IMODE(modes["product/run"]) == 0o755


def test_no_two_names_become_one_in_a_zip(shelf: Shelf) -> None:
    names = ["a\udcff", "a%FF", "a%25FF", "a%2525", "%\udc80", "%25\udc80", "%80", "100% sure", "a%20b", "%%FF"]
    (folder := shelf.door.source / "close").mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode(errors="surrogateescape"))
    answer = shelf.get(folder, archive="zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = {archive.read(name): name.removeprefix("close/") for name in archive.namelist()}

    assert len({*found.values()} - {""}) == len(names)
    assert found[b"a\xff"] == "a%FF"
    assert found[b"a%FF"] == "a%25FF"
    assert (found[b"100% sure"], found[b"a%20b"]) == ("100% sure", "a%20b")


@pytest.mark.parametrize("archive", FORMATS)
@pytest.mark.parametrize("place", [0, 511, 512, 100_000, -1])
def test_an_archive_that_was_cut_is_taken_up_where_it_ended(
    shelf: Shelf, folder: Path, archive: str, place: int
) -> None:
    whole = shelf.get(folder, archive=archive)
    start = place % len(whole.content)
    rest = shelf.get(folder, {"Range": f"bytes={start}-", "If-Range": whole.headers["etag"]}, archive=archive)

    assert rest.status_code == 206
    assert whole.content[:start] + rest.content == whole.content


@pytest.mark.parametrize("archive", [None, *FORMATS])
def test_what_has_a_time_in_the_future_is_taken_up_where_it_ended(shelf: Shelf, archive: str | None) -> None:
    file = shelf.door.source / "from-the-future" / "file"
    if not file.exists():
        file.parent.mkdir()
        file.write_bytes(shelf.content(LARGE))
        os.utime(file, (4e9, 4e9))
    shelf.put("from-the-future/file", b"")  # it waits until that is no news
    asked: dict[str, Any] = {"archive": archive} if archive else {}
    place = file.parent if archive else file
    whole = shelf.get(place, **asked)
    rest = shelf.get(place, {"Range": "bytes=1000-", "If-Range": whole.headers["etag"]}, **asked)

    assert whole.headers["etag"].startswith('"')
    assert (rest.status_code, whole.content[:1000] + rest.content) == (206, whole.content)


@pytest.mark.parametrize("archive", FORMATS)
def test_an_archive_of_a_directory_that_changed_begins_anew(shelf: Shelf, archive: str) -> None:
    shelf.put(f"changing-{archive}/a", b"a")
    folder = shelf.door.source / f"changing-{archive}"
    before = shelf.etag(folder)
    (folder / "a").write_bytes(b"b")

    answer = shelf.get(folder, {"Range": "bytes=10-", "If-Range": before}, archive=archive)
    assert (answer.status_code, len(answer.content)) == (200, int(answer.headers["content-length"]))


@pytest.mark.parametrize("archive", FORMATS)
def test_an_archive_is_recorded_as_a_directory(shelf: Shelf, archive: str) -> None:
    shelf.put(f"recorded-{archive}/a", b"a" * 300_000)
    size = len(shelf.get(shelf.door.source / f"recorded-{archive}", archive=archive).content)

    found = shelf.record(f"recorded-{archive}", lambda row: row["status"] == "completed")
    item = found["items"][0]
    assert (item["kind"], item["file_count"], item["progress"]["bytes_done"]) == ("directory", 1, size)


def test_a_link_in_a_directory_that_leads_out_is_refused_by_name(shelf: Shelf) -> None:
    shelf.put("leaky/a", b"a")
    (shelf.door.source / "leaky" / "out").symlink_to("/etc/passwd")
    answer = shelf.get(shelf.door.source / "leaky")

    assert answer.status_code == 422
    assert "leaky/out -> /etc/passwd" in answer.json()["detail"]


def test_a_fifo_in_a_directory_is_refused_by_name(shelf: Shelf) -> None:
    shelf.put("piped/a", b"a")
    os.mkfifo(shelf.door.source / "piped" / "fifo")
    answer = shelf.get(shelf.door.source / "piped", archive="zip")

    assert answer.status_code == 422
    assert "piped/fifo is a FIFO" in answer.json()["detail"]


def test_a_zip_of_more_than_two_gigabytes_says_its_length_right(shelf: Shelf) -> None:
    folder = shelf.door.source / "wide"
    folder.mkdir()
    shelf.sparse("wide/large", 2_200_000_000)
    shelf.sparse("wide/small-behind-it", 1)
    length = int(shelf.head(folder, archive="zip").headers["content-length"])
    tail = shelf.get(folder, {"Range": "bytes=-400"}, archive="zip")

    assert tail.headers["content-range"].endswith(f"/{length}")
    assert tail.content[-22:-18] == b"PK\x05\x06"
    assert tail.content[-98:-94] == b"PK\x06\x06"
    directory = int.from_bytes(tail.content[-98 + 48 : -98 + 56], "little")
    assert tail.content[400 - (length - directory) :][:4] == b"PK\x01\x02"
