"""What is tried before there is a run leaves nothing, and spares the run the making of its SQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from stager.errors import DatabaseUnavailable
from stager.records.database import Database
from stager.records.items import beginning, files_of, save_files
from stager.records.requests import create_request, get_requests, list_requests, start_requests
from stager.records.runs import fill_statement_cache, note_flow_run
from tests.records.test_requests import request_of
from tests.records_database import give_records


def test_filling_the_cache_leaves_no_record_and_no_connection(database: Database) -> None:
    opened: list[object] = []
    event.listen(database.engine, "connect", lambda *made: opened.append(made))
    fill_statement_cache(database)
    assert list_requests(database).requests == []
    assert len(opened) == 2  # its own, and that of the look


def test_a_run_makes_no_sql_that_the_cache_has(database: Database) -> None:
    request_id = create_request(database, request_of("a")).id
    note_flow_run(database, [request_id], "run")
    fill_statement_cache(database)
    made: dict[str, str] = {}

    def note(_: Connection, __: object, statement: str, ___: object, context: object, ____: object) -> None:
        made[statement] = str(getattr(context, "cache_hit", ""))

    event.listen(database.engine, "before_cursor_execute", note)
    get_requests(database, [request_id])
    start_requests(database, [request_id], flow_run_id="run", acting_as="alice")
    (file,) = files_of(database, request_id, limit=256)
    save_files(database, [beginning(file.id, destination_key="key", seen_at="/data/a", link=None)])
    assert made
    assert [statement for statement, how in made.items() if "MISS" in how] == []


def test_filling_the_cache_without_tables_fails_at_once(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        fill_statement_cache(Database(database_url))


def test_filling_the_cache_waits_for_no_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    give_records(url)
    database, writer = Database(url), Database(url)
    with database.rolled_back():
        assert database.read(lambda session: session.execute(text("PRAGMA busy_timeout")).scalar()) == 0
    with writer.engine.begin(), pytest.raises(DatabaseUnavailable, match="locked"):
        fill_statement_cache(database)
    fill_statement_cache(database)
    writer.close()


def test_filling_the_cache_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="there is no"):
        fill_statement_cache(Database(f"sqlite:///{tmp_path}/none.db"))
    assert list(tmp_path.iterdir()) == []
