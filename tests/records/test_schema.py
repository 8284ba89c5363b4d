from __future__ import annotations

import subprocess
import sys

import pytest
from alembic import command
from sqlalchemy import inspect, text

from stager.checksums import Checksum
from stager.errors import DatabaseUnavailable
from stager.models import StagingItem, StagingRequest, StagingTerms, Status
from stager.records.database import Database
from stager.records.downloads import DownloadBegun, write_downloads
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases
from stager.records.migrate import alembic_config, migrate
from stager.records.requests import (
    adopt_requests,
    begin_large_request,
    close_requests,
    create_request,
    get_request,
    get_requests,
    list_requests,
    renew_requests,
    start_requests,
)
from stager.records.shards import shards_of
from stager.records.tables import TABLES
from stager.vocabulary import Pool, Verify
from tests.patience import PATIENCE

ITEMS = (StagingItem(source="a", destination="a"), StagingItem(source="b", destination="b"))


def tables_at(url: str) -> set[str]:
    database = Database(url)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.close()


def go_back(url: str, revision: str) -> None:
    database = Database(url)
    with database.engine.connect() as connection:
        command.downgrade(alembic_config(connection), revision)
        connection.commit()
    database.close()


def test_after_the_migrations_the_database_is_what_the_tables_say(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    with database.engine.connect() as connection:
        command.check(alembic_config(connection))
    database.close()
    assert tables_at(database_url) == TABLES | {"alembic_version"}


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url)
    assert tables_at(database_url) == TABLES | {"alembic_version"}


def test_the_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    migrate(database_url)
    go_back(database_url, "base")
    assert tables_at(database_url) == {"alembic_version"}
    migrate(database_url)
    assert tables_at(database_url) >= TABLES


@pytest.mark.any_python
def test_many_processes_may_migrate_at_once(database_url: str) -> None:
    program = f"from stager.records.migrate import migrate; migrate({database_url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(5)]
    errors = [process.communicate(timeout=PATIENCE)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, errors
    assert tables_at(database_url) >= TABLES


@pytest.mark.mariadb
def test_the_database_may_be_called_mariadb_too(mariadb_database: str) -> None:
    test_after_the_migrations_the_database_is_what_the_tables_say(mariadb_database.replace("mysql+", "mariadb+"))


def test_records_of_the_first_tables_are_brought_up_to_date(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    request = create_request(database, StagingRequest(method="local_copy", username="alice", items=ITEMS))
    save_files(database, [FileChange(id=files_of(database, request.id)[0].id, bytes_done=5, files_done=1)])
    go_back(database_url, "0001")

    migrate(database_url)

    seen = get_request(database, request.id)
    database.close()
    assert (seen.item_count, seen.bytes_done, seen.files_done) == (2, 5, 1)
    assert (seen.origin, seen.priority, seen.is_arriving or seen.is_bounded, seen.deadline) == ("api", 0, False, None)


def test_a_checksum_without_a_name_is_an_adler32_from_before(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    request = create_request(database, StagingRequest(method="local_copy", username="alice", items=ITEMS))
    go_back(database_url, "0007")
    before = text("UPDATE staged_file SET expected_checksum = '0a1b2c3d' WHERE position = 0")
    database.write(lambda session: session.execute(before) and None)
    migrate(database_url)

    sha256 = Checksum.parse(64 * "f")
    after = StagingItem(source="c", destination="c", checksum=str(sha256))
    later = create_request(database, StagingRequest(method="local_copy", username="alice", items=(after,)))
    go_back(database_url, "0007")
    read = text("SELECT expected_checksum FROM staged_file WHERE request_id IN (:first, :later) ORDER BY id")
    ids = {"first": request.id, "later": later.id}
    kept = database.read(lambda session: [said and Checksum.parse(said) for said in session.scalars(read, ids)])
    database.close()
    assert kept == [Checksum("adler32", "0a1b2c3d"), None, sha256]


def test_a_version_before_writes_leases_as_ever_and_so_does_this_one(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    columns = "destination_key, destination, request_id, holder, expires_at, epoch"
    before = text(f"INSERT INTO destination_lease ({columns}) VALUES ('k', 'd', 'r', 'before', '2020-01-01', 1)")
    request = create_request(database, StagingRequest(method="local_copy", username="alice", items=ITEMS))
    database.write(lambda session: session.execute(before) and None)
    acquire_leases(database, files_of(database, request.id), holder="this one", seconds=60)

    read = text("SELECT holder, epoch FROM destination_lease")
    leases = database.read(lambda session: sorted(tuple(row) for row in session.execute(read)))
    database.close()
    assert leases == [("before", 1), ("this one", 1), ("this one", 1)]


def test_a_database_without_tables_is_not_ready_yet(database_url: str) -> None:
    database = Database(database_url, patience=0)
    with pytest.raises(DatabaseUnavailable, match="staging_request"):
        list_requests(database)
    database.close()


def test_a_request_of_a_version_before_shards_keeps_its_run(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    waiting, handed, begun, ended = (
        create_request(database, StagingRequest(method="local_copy", username="alice", items=ITEMS), flow_run_id=run).id
        for run in (None, "first", "second", "third")
    )
    for request_id, run in ((begun, "second"), (ended, "third")):
        start_requests(database, [request_id], flow_run_id=run, acting_as="alice")
    renew_requests(database, [begun], seconds=3600)
    close_requests(database, [ended], flow_run_id="third")
    before = shards_of(database, [waiting, handed, begun])
    shown = get_requests(database, [waiting, handed, begun, ended])
    go_back(database_url, "0011")
    assert "shard" not in tables_at(database_url)

    migrate(database_url)

    assert shards_of(database, before) == before
    assert [one.status for one in shards_of(database, [ended])[ended]] == [Status.FAILED]
    assert get_requests(database, [waiting, handed, begun, ended]) == shown
    assert adopt_requests(database) == 0
    database.close()


def test_a_request_of_a_version_before_pools_asks_for_none(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    wanted = StagingRequest(method="local_copy", username="alice", items=ITEMS, pool=Pool.POD)
    request_id = create_request(database, wanted).id
    go_back(database_url, "0012")
    migrate(database_url)
    [shard] = shards_of(database, [request_id])[request_id]
    assert (get_request(database, request_id).pool, shard.pool, shard.run_pool) == (None, None, None)
    database.close()


def test_a_request_of_a_version_before_it_could_want_more_verified_wants_nothing(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    wanted = StagingRequest(method="s3_copy", username="alice", items=ITEMS, verify=Verify.READ)
    request_id = create_request(database, wanted).id
    assert get_request(database, request_id).verify is Verify.READ
    go_back(database_url, "0014")
    migrate(database_url)
    assert get_request(database, request_id).verify is None
    database.close()


def test_neither_a_download_nor_what_is_still_arriving_has_a_shard(database_url: str) -> None:
    migrate(database_url)
    database = Database(database_url)
    terms = StagingTerms(method="local_copy", username="alice")
    arriving = begin_large_request(database, terms, origin="api", idempotency_key=None)
    one = DownloadBegun(id="d" * 32, username="alice", area="source", path="a", destination="b", acting_as="alice")
    write_downloads(database, [one], [], seconds=60)
    go_back(database_url, "0011")
    migrate(database_url)
    assert adopt_requests(database) == 0
    assert shards_of(database, [arriving, one.id]) == {arriving: [], one.id: []}
    database.close()
