"""Rows that are changed together each get their own values, whatever these are."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from stager.models import MAX_SIZE_BYTES, StagingItem, StagingRequest, Status
from stager.records.database import Database, now
from stager.records.database.columns import TEXT_CHARACTERS
from stager.records.database.row_updates import ROWS_OF_A_STATEMENT, update_rows
from stager.records.items import files_of
from stager.records.requests import create_request
from stager.records.tables import FILE, StagedFile


@pytest.fixture
def files(database: Database) -> list[StagedFile]:
    items = tuple(StagingItem(source=f"{one}", destination=f"{one}") for one in range(2 * ROWS_OF_A_STATEMENT + 1))
    row = create_request(database, StagingRequest(method="local_copy", username="alice", items=items))
    return [*files_of(database, row.id)]


def changed(database: Database, files: list[StagedFile], *rows: dict[str, object]) -> list[StagedFile]:
    def work(session: Session) -> None:
        update_rows(session, FILE, rows)

    database.write(work)
    return [*files_of(database, files[0].request_id)]


def test_every_row_gets_its_own_values(database: Database, files: list[StagedFile]) -> None:
    moment = database.read(now)
    texts = ["", "it's 100 % \\ \n \0 %s :id", "Sch\u00f6n \U0001f52d", None, "x" * TEXT_CHARACTERS]
    rows: list[dict[str, object]] = [
        {
            "id": file.id,
            "status": Status.FAILED if number % 2 else Status.STARTED,
            "error_reason": texts[number % len(texts)],
            "size_bytes": None if number % 3 else MAX_SIZE_BYTES - number,
            "finished_at": moment if number % 2 else None,
        }
        for number, file in enumerate(files)
    ]
    found = changed(database, files, *rows)
    assert [(one.id, one.status, one.error_reason, one.size_bytes, one.finished_at) for one in found] == [
        tuple(row.values()) for row in rows
    ]


def test_texts_of_the_longest_kind_are_no_statement_too_long(database: Database, files: list[StagedFile]) -> None:
    longest = "\U0001f52d" * TEXT_CHARACTERS
    rows = ({"id": file.id, "error_reason": longest, "left_writable": longest} for file in files)
    assert {(one.error_reason, one.left_writable) for one in changed(database, files, *rows)} == {(longest, longest)}


def test_rows_of_other_columns_are_changed_too_and_one_that_is_not_there_is_left_out(
    database: Database, files: list[StagedFile]
) -> None:
    first, second, third, *_ = files
    rows: tuple[dict[str, object], ...] = (
        {"id": first.id, "seen_at": "here"},
        {"id": 10**9, "seen_at": "nowhere"},
        {"id": second.id, "file_count": 3},
    )
    found = changed(database, files, *rows)
    assert len(found) == len(files)
    assert [(one.seen_at, one.file_count) for one in found[:3]] == [
        ("here", first.file_count),
        (second.seen_at, 3),
        (third.seen_at, third.file_count),
    ]
