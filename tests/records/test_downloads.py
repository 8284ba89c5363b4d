from __future__ import annotations

from typing import TYPE_CHECKING

from stager.errors import Cancelled
from stager.models import Status
from stager.records.database import new_id
from stager.records.downloads import DownloadBegun, DownloadEnded, DownloadProgress, note_sent, write_downloads
from stager.records.events import events_of
from stager.records.items import checksum_of_source, files_of
from stager.records.requests import get_request
from stager.records.runs import silent_downloads

if TYPE_CHECKING:
    from stager.records.database import Database

FINGERPRINT = "f" * 64


def begun(path: str = "a.fits") -> DownloadBegun:
    return DownloadBegun(id=new_id(), username="alice", area="source", path=path, destination="b", acting_as="nobody")


def test_a_group_of_downloads_begins_and_ends_in_one_transaction(database: Database) -> None:
    some = [begun("a.fits"), begun("b\udcff")]
    write_downloads(database, some, [], seconds=60)
    whole = DownloadEnded(
        id=some[0].id,
        bytes_sent=4,
        size_bytes=4,
        file_count=1,
        checksum="0a1b2c3d",
        checksum_algorithm="adler32",
        source_fingerprint=FINGERPRINT,
    )
    cut = DownloadEnded(id=some[1].id, bytes_sent=2, error=Cancelled("the client hung up after 2 of 4 bytes"))
    write_downloads(database, [], [whole, cut], seconds=60)

    rows = [get_request(database, one.id) for one in some]
    files = [files_of(database, one.id)[0] for one in some]
    assert [row.status for row in rows] == [file.status for file in files] == [Status.COMPLETED, Status.CANCELLED]
    assert [file.bytes_done for file in files] == [4, 2]
    assert [file.local_path_on_storage for file in files] == ["a.fits", "b\udcff"]
    assert rows[1].error_reason == "the client hung up after 2 of 4 bytes"
    assert [event.kind for one in some for event in events_of(database, one.id)] == ["completed", "cancelled"]


def test_a_download_that_has_ended_stays_as_it_ended(database: Database) -> None:
    one = begun()
    write_downloads(database, [one], [DownloadEnded(id=one.id, bytes_sent=4)], seconds=60)
    write_downloads(database, [one], [DownloadEnded(id=one.id, bytes_sent=1, error=Cancelled())], seconds=60)

    assert get_request(database, one.id).status is Status.COMPLETED
    assert len(events_of(database, one.id)) == 1


def test_how_far_a_download_is_is_noted_until_it_has_ended(database: Database) -> None:
    going, over = begun(), begun()
    write_downloads(database, [going, over], [DownloadEnded(id=over.id, bytes_sent=4, size_bytes=4)], seconds=60)
    note_sent(database, [DownloadProgress(id=one.id, bytes_sent=3, size_bytes=2**40) for one in (going, over)])
    note_sent(database, [])

    files = [files_of(database, one.id)[0] for one in (going, over)]
    assert [(file.status, file.bytes_done, file.size_bytes) for file in files] == [
        (Status.STARTED, 3, 2**40),
        (Status.COMPLETED, 4, 4),
    ]


def test_a_download_that_nobody_renews_is_found_silent(database: Database) -> None:
    lives, dies = begun(), begun()
    write_downloads(database, [lives], [], seconds=600)
    write_downloads(database, [dies], [], seconds=-1)

    assert [row.id for row in silent_downloads(database, stale=0)] == [dies.id]


def test_the_checksum_of_a_source_is_found_by_its_fingerprint(database: Database) -> None:
    one = begun()
    ending = DownloadEnded(
        id=one.id, bytes_sent=4, checksum="0a1b2c3d", checksum_algorithm="adler32", source_fingerprint=FINGERPRINT
    )
    write_downloads(database, [one], [ending], seconds=60)

    assert checksum_of_source(database, FINGERPRINT) == "0a1b2c3d"
    assert checksum_of_source(database, "0" * 64) is None
