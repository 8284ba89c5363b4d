from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stager.errors import LeaseLost
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.items import files_of, manifest_of, manifest_writer
from stager.records.leases import acquire_leases
from stager.records.requests import create_request
from stager.records.tables import StagedFile
from stager.vocabulary import ManifestEntry


@pytest.fixture
def file(database: Database) -> StagedFile:
    item = StagingItem(source="a", destination="a")
    row = create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,)))
    return files_of(database, row.id)[0]


def entries(count: int, prefix: str = "") -> Iterator[ManifestEntry]:
    return (ManifestEntry(path=f"{prefix}{n:07}", size_bytes=n, checksum=f"{n:08x}") for n in range(count))


def write_all(
    database: Database, file: StagedFile, many: Iterator[ManifestEntry], *, holder: str | None = None
) -> None:
    with manifest_writer(database, file, holder=holder) as write:
        for entry in many:
            write(entry)


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 9000])
def test_a_manifest_is_read_as_it_was_written(database: Database, file: StagedFile, count: int) -> None:
    write_all(database, file, entries(count))
    assert list(manifest_of(database, file.id)) == list(entries(count))


def test_any_name_survives(database: Database, file: StagedFile) -> None:
    names = ["a\nb", "a\rb", "\u2028", "\udcff", "é", "e\u0301", '"', "\\", "\x1c\x85", "\U0001f52d", " "]
    write_all(database, file, (ManifestEntry(path=name, size_bytes=2**50, checksum="00000001") for name in names))
    assert [entry.path for entry in manifest_of(database, file.id)] == names


def test_a_retrys_manifest_replaces_the_first(database: Database, file: StagedFile) -> None:
    write_all(database, file, entries(9000, "old"))
    write_all(database, file, entries(5000, "new"))
    assert list(manifest_of(database, file.id)) == list(entries(5000, "new"))


def test_a_manifest_that_was_broken_off_is_not_there(database: Database, file: StagedFile) -> None:
    def broken_off() -> Iterator[ManifestEntry]:
        yield from entries(5000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(database, file, broken_off())
    assert list(manifest_of(database, file.id)) == []


def test_an_overtaken_writer_cannot_change_the_manifest(database: Database, file: StagedFile) -> None:
    acquire_leases(database, [file], holder="one", seconds=0)

    def overtaken() -> Iterator[ManifestEntry]:
        yield from entries(1, "old")
        acquire_leases(database, [file], holder="two", seconds=60)
        write_all(database, file, entries(1, "new"), holder="two")

    with pytest.raises(LeaseLost):
        write_all(database, file, overtaken(), holder="one")
    assert list(manifest_of(database, file.id)) == list(entries(1, "new"))


# A process of its own: tracemalloc counts every thread's memory, servers of other tests have theirs in this one.
PEAK = """
import sys, tracemalloc
from stager.records.database import Database
from stager.records.items import files_of, manifest_of
from tests.records.test_manifests import entries, write_all

database = Database(sys.argv[1])
[file] = files_of(database, sys.argv[2])
write_all(database, file, entries(5000))  # what is loaded once does not count
tracemalloc.start()
write_all(database, file, entries(60_000))
print(sum(1 for _ in manifest_of(database, file.id)), tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.any_python
def test_memory_stays_flat_however_many_files_there_are(database_url: str, file: StagedFile) -> None:
    command = [sys.executable, "-c", PEAK, database_url, file.request_id]
    said = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, stdout=subprocess.PIPE, text=True).stdout
    read, peak_bytes = map(int, said.split())
    assert read == 60_000
    assert peak_bytes < 8 * 2**20  # as a list they take some 40 MiB
