from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pymysql
import pytest
from sqlalchemy import exc
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from stager.errors import DatabaseUnavailable
from stager.models import StagingItem, StagingRequest, Status
from stager.records.database import Database
from stager.records.events import events_of, note_event
from stager.records.items import files_of, manifest_of, manifest_writer, save_files
from stager.records.leases import acquire_leases, confirm_leases, release_leases
from stager.records.migrate import migrate
from stager.records.requests import (
    cancel_request,
    close_requests,
    create_request,
    create_requests,
    list_requests,
    new_request,
    start_requests,
)
from stager.records.runs import note_flow_run
from stager.vocabulary import ManifestEntry
from tests.patience import PATIENCE
from tests.records_database import give_records

ENTRIES = [ManifestEntry(path=str(number), size_bytes=number, checksum=f"{number:08x}") for number in range(5000)]
T = TypeVar("T")
LIFE = ["submitted", "flow_run", "started", "completed"]


def stage(database: Database, name: str) -> str:
    """Do all that a staging does to the records, and return the request's id."""
    item = StagingItem(source=name, destination=name)
    request = StagingRequest(method="local_copy", username="alice", items=(item,))
    row = create_request(database, request, idempotency_key=name)
    note_flow_run(database, [row.id], f"run of {name}")
    start_requests(database, [row.id], flow_run_id=f"run of {name}", acting_as="alice (uid 1, gid 1)")
    [file] = files_of(database, row.id)
    assert acquire_leases(database, [file], holder=name, seconds=600) == []
    with manifest_writer(database, file, holder=name) as write:
        for entry in ENTRIES:
            write(entry)
    assert confirm_leases(database, [file], holder=name, seconds=1300) == []  # less than half is left: it is extended
    assert save_files(database, [{"id": file.id, "status": Status.COMPLETED}], holder=name) == []
    release_leases(database, holder=name)
    assert close_requests(database, [row.id], holder=name)[0].status is Status.COMPLETED
    return row.id


def assert_done_once(database: Database, request_id: str) -> None:
    assert [event.kind for event in events_of(database, request_id)] == LIFE
    [file] = files_of(database, request_id)
    assert file.status is Status.COMPLETED
    assert list(manifest_of(database, file.id)) == ENTRIES


class ForgetfulProxy:
    """Stands between us and MariaDB and loses the answer to a COMMIT when it is told to.

    The server has committed, and the connection breaks before we know.
    """

    def __init__(self, port: int) -> None:
        self.lose_next = threading.Event()
        self.lost = 0
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                loses = threading.Event()
                for work in (self._ask, self._answer):
                    self._threads.append(threading.Thread(target=work, args=(client, server, loses)))
                    self._threads[-1].start()

    def _ask(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        has_written = False
        with client, server, suppress(OSError):
            while asked := client.recv(65536):
                has_written |= any(word in asked for word in (b"\x03INSERT", b"\x03UPDATE", b"\x03DELETE"))
                if b"\x03COMMIT" in asked and has_written and self.lose_next.is_set():
                    loses.set()
                server.sendall(asked)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, loses: threading.Event) -> None:
        with suppress(OSError):
            while answer := server.recv(65536):
                if loses.is_set():
                    self.lost += 1
                    self.lose_next.clear()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)


class UnluckyDatabase(Database):
    """Each transaction that writes learns only at its second try that the first was committed."""

    def __init__(self, url: str, proxy: ForgetfulProxy) -> None:
        super().__init__(url, patience=30)
        self.proxy = proxy

    def write(self, work: Callable[[Session], T]) -> T:
        self.proxy.lose_next.set()
        return super().write(work)


@contextmanager
def unlucky(url: str) -> Iterator[UnluckyDatabase]:
    parsed = make_url(url)
    proxy = ForgetfulProxy(parsed.port or 3306)
    database = UnluckyDatabase(parsed.set(port=proxy.port).render_as_string(hide_password=False), proxy)
    try:
        yield database
    finally:
        database.close()
        proxy.close()


@pytest.mark.mariadb
def test_nothing_is_done_twice_when_the_answer_to_a_commit_is_lost(mariadb_database: str) -> None:
    give_records(mariadb_database)
    with unlucky(mariadb_database) as database:
        request_id = stage(database, "a")
        lost = database.proxy.lost
    seen = Database(mariadb_database)
    assert_done_once(seen, request_id)
    assert len(list_requests(seen).requests) == 1
    seen.close()
    assert lost == 11  # of eleven transactions that write: none escaped


@pytest.mark.mariadb
def test_requests_are_written_once_when_the_answer_to_their_commit_is_lost(mariadb_database: str) -> None:
    give_records(mariadb_database)
    items = [StagingItem(source=name, destination=name) for name in "abc"]
    wanted = [StagingRequest(method="local_copy", username="alice", items=(item,)) for item in items]
    with unlucky(mariadb_database) as database:
        written = create_requests(database, [new_request(request) for request in wanted], most_open=3)
        lost = database.proxy.lost
    seen = Database(mariadb_database)
    assert lost == 1
    assert {row.id for row in list_requests(seen).requests} == {getattr(one, "id", one) for one in written}
    for row in list_requests(seen).requests:
        assert [event.kind for event in events_of(seen, row.id)] == ["submitted"]
        assert len(files_of(seen, row.id)) == 1
    seen.close()


def test_a_transaction_that_a_deadlock_took_back_is_done_again_whole(database: Database) -> None:
    request = StagingRequest(method="local_copy", username="alice", items=(StagingItem(source="a", destination="a"),))
    request_id, tries = create_request(database, request).id, 0

    def work(session: Session) -> int:
        nonlocal tries
        tries += 1
        note_event(session, request_id, kind="pod", detail=f"try {tries}")
        if tries == 1:
            raise exc.OperationalError("INSERT", {}, pymysql.err.OperationalError(1213, "Deadlock found"))
        return tries

    assert database.write(work) == 2
    assert [event.detail for event in events_of(database, request_id)][1:] == ["try 2"]


@pytest.mark.mariadb
def test_a_server_that_is_killed_in_the_middle_loses_and_repeats_nothing(own_mariadb: Any) -> None:
    url = own_mariadb.create_database()
    migrate(url)
    database = Database(url, patience=60)
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(stage, database, str(number)) for number in range(40)]
        for _ in range(2):
            time.sleep(0.7)
            own_mariadb.kill()
            time.sleep(1)
            own_mariadb.start()
        ids = {one.result() for one in running}
    assert len(ids) == 40
    assert {row.id for row in list_requests(database).requests} == ids
    for request_id in ids:
        assert_done_once(database, request_id)
    database.close()


@pytest.mark.mariadb
def test_a_database_that_stays_away_is_told_without_its_password(own_mariadb: Any) -> None:
    url = own_mariadb.create_database().replace("root@", "root:s3cret@")
    own_mariadb.stop()
    database = Database(url, patience=0.3)
    with pytest.raises(DatabaseUnavailable) as caught:
        list_requests(database)
    assert "s3cret" not in caught.value.message
    assert "\n" not in caught.value.message
    database.close()


@pytest.mark.mariadb
def test_a_password_that_is_wrong_is_not_tried_again(mariadb_database: str) -> None:
    database = Database(mariadb_database.replace("root@", "nobody:s3cret@"), patience=3600)
    with pytest.raises(DatabaseUnavailable, match="Access denied"):
        list_requests(database)
    database.close()


@pytest.mark.mariadb
def test_migrations_wait_for_a_database_that_is_not_up_yet(own_mariadb: Any) -> None:
    url = own_mariadb.create_database()
    own_mariadb.stop()
    with ThreadPoolExecutor(1) as pool:
        migrated = pool.submit(migrate, url)
        time.sleep(1)
        own_mariadb.start()
        migrated.result()
    database = Database(url)
    assert list_requests(database).requests == []
    database.close()


def test_a_database_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/missing/records.db", patience=0.2)
    with pytest.raises(DatabaseUnavailable, match="unable to open database file"):
        list_requests(database)
    database.close()


@pytest.mark.any_python
def test_many_threads_may_write_at_once(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: stage(database, str(number)), range(24)))
    for request_id in ids:
        assert_done_once(database, request_id)


# Locks a request's row, and comes to a stand before it commits, once.
STANDS_IN_A_TRANSACTION = """
import os, signal, sys
from stager.records.database import Database
from stager.records.tables import StagingRequestRow
found = []
def stand(session):
    found.append(session.get(StagingRequestRow, sys.argv[2], with_for_update=True).status)
    print(found[-1], flush=True)
    if len(found) == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
Database(sys.argv[1]).write(stand)
"""


@pytest.mark.mariadb
def test_a_process_that_stands_still_in_a_transaction_keeps_nobody_from_its_rows(mariadb_database: str) -> None:
    give_records(mariadb_database)
    with closing(Database(mariadb_database, patience=PATIENCE)) as database:
        item = StagingItem(source="a.fits", destination="b.fits")
        row = create_request(database, StagingRequest(method="local_copy", username="alice", items=(item,)))
        command = [sys.executable, "-c", STANDS_IN_A_TRANSACTION, mariadb_database, row.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as standing:
            try:
                assert standing.stdout is not None
                assert standing.stdout.readline() == "submitted\n"
                cancel_request(database, row.id)
                standing.send_signal(signal.SIGCONT)
                assert standing.stdout.read().endswith("\ncancelled\n")  # its transaction was run again
            finally:
                standing.kill()
