"""Secrets of requests: who gets one, and when it goes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import delete, update
from sqlmodel import SQLModel, col, select

from stager.errors import (
    IdempotencyConflict,
    RunLost,
    SecretGone,
    SecretInUse,
    SecretKeyMissing,
    SecretUnreadable,
)
from stager.models import StagingItem, StagingRequest, StagingTerms, Status
from stager.records.database import Database
from stager.records.items import FileChange, files_of, save_files
from stager.records.leases import acquire_leases, release_leases
from stager.records.request_secrets import forget_missed_secrets, hand_out_secret
from stager.records.requests import (
    abandon_large_request,
    add_items,
    begin_large_request,
    cancel_items,
    cancel_request,
    close_requests,
    create_request,
    fail_request,
    get_request,
    start_requests,
    stop_overdue_requests,
    submit_large_request,
)
from stager.records.runs import resubmit_requests
from stager.records.tables import RequestSecret, StagingRequestRow
from stager.user_secrets import SecretKeys, UserSecret

SECRET = "open-sesame-6f1c"
KEYS = SecretKeys(SecretStr(Fernet.generate_key().decode()))
OTHER_KEYS = SecretKeys(SecretStr(Fernet.generate_key().decode()))
ITEMS = tuple(StagingItem(source=name, destination=name) for name in "ab")
ASKED = StagingRequest(method="local_copy", username="alice", items=ITEMS)
RUN, TWO = "run", "another run"
DIED = RunLost("the run crashed")


def given(text: str = SECRET) -> UserSecret:
    return KEYS.take(SecretStr(text))


def ask(database: Database, **more: object) -> str:
    """Return a request with a secret."""
    asked = ASKED.model_copy(update=more)
    return create_request(database, asked, secret=given()).id


def begin(database: Database, request_id: str, *, run: str = RUN) -> None:
    start_requests(database, [request_id], flow_run_id=run, acting_as="alice")


def hold(database: Database, request_id: str, holder: str, *, items: slice = slice(None), seconds: float = 600) -> None:
    """Have a process take the leases of some destinations of a request."""
    assert acquire_leases(database, files_of(database, request_id)[items], holder=holder, seconds=seconds) == []


def staged_by(database: Database, holder: str = f"{RUN}/1", run: str = RUN) -> str:
    """Return a request with a secret that a process stages."""
    request_id = ask(database)
    begin(database, request_id, run=run)
    hold(database, request_id, holder)
    return request_id


def handed_out(
    database: Database, request_id: str, holder: str = f"{RUN}/1", *, run: str = RUN, keys: SecretKeys = KEYS
) -> str:
    return hand_out_secret(database, request_id, holder=holder, flow_run_id=run, keys=keys).get_secret_value()


def kept(database: Database) -> list[str]:
    return list(database.read(lambda session: session.scalars(select(RequestSecret.request_id)).all()))


def dump(database: Database) -> str:
    tables = SQLModel.metadata.sorted_tables
    return database.read(lambda session: str([session.execute(table.select()).all() for table in tables]))


# Who gets it.


def test_whoever_stages_the_request_gets_its_secret_for_each_batch(database: Database) -> None:
    request_id = staged_by(database)
    assert [handed_out(database, request_id) for _ in range(2)] == [SECRET, SECRET]
    release_leases(database, holder=f"{RUN}/1")
    hold(database, request_id, f"{RUN}/1", items=slice(1, 2))
    assert handed_out(database, request_id) == SECRET


def test_without_a_living_lease_nobody_gets_it(database: Database) -> None:
    request_id = ask(database)
    begin(database, request_id)
    with pytest.raises(SecretInUse):
        handed_out(database, request_id)
    hold(database, request_id, f"{RUN}/1", seconds=0)
    with pytest.raises(SecretInUse):
        handed_out(database, request_id)


def test_a_lease_of_another_request_opens_nothing(database: Database) -> None:
    request_id, other = staged_by(database), create_request(database, ASKED.model_copy(update={"username": "bob"})).id
    begin(database, other, run=TWO)
    hold(database, other, f"{TWO}/1")
    with pytest.raises(SecretInUse):
        handed_out(database, request_id, f"{TWO}/1", run=TWO)
    with pytest.raises(SecretGone):
        handed_out(database, other, f"{TWO}/1", run=TWO)


def test_of_two_processes_of_a_run_one_gets_it_until_its_leases_end(database: Database) -> None:
    request_id = ask(database)
    begin(database, request_id)
    hold(database, request_id, f"{RUN}/1", items=slice(0, 1))
    hold(database, request_id, f"{RUN}/2", items=slice(1, 2))
    assert handed_out(database, request_id, f"{RUN}/1") == SECRET
    with pytest.raises(SecretInUse) as refused:
        handed_out(database, request_id, f"{RUN}/2")
    assert refused.value.retryable

    release_leases(database, holder=f"{RUN}/1")
    assert handed_out(database, request_id, f"{RUN}/2") == SECRET
    hold(database, request_id, f"{RUN}/1", items=slice(0, 1))
    with pytest.raises(SecretInUse):
        handed_out(database, request_id, f"{RUN}/1")


def test_of_many_who_ask_at_once_one_gets_it(database: Database) -> None:
    items = tuple(StagingItem(source=f"{n}", destination=f"{n}") for n in range(4))
    request_id = ask(database, items=items)
    begin(database, request_id)
    for number in range(4):
        hold(database, request_id, f"{RUN}/{number}", items=slice(number, number + 1))

    def asks(number: int) -> str | None:
        with suppress(SecretInUse):
            return handed_out(database, request_id, f"{RUN}/{number}")
        return None

    with ThreadPoolExecutor(4) as threads:
        assert sorted(map(str, threads.map(asks, range(4)))) == ["None"] * 3 + [SECRET]


def test_a_run_that_takes_the_request_up_after_a_crash_gets_it_and_the_dead_one_no_more(database: Database) -> None:
    request_id = staged_by(database)
    assert handed_out(database, request_id) == SECRET
    resubmit_requests(database, RUN, DIED)
    assert kept(database) == [request_id]
    begin(database, request_id, run=TWO)
    hold(database, request_id, f"{TWO}/1", items=slice(0, 1))
    assert handed_out(database, request_id, f"{TWO}/1", run=TWO) == SECRET

    hold(database, request_id, f"{RUN}/1", items=slice(1, 2))  # it lives after all
    with pytest.raises(SecretInUse):
        handed_out(database, request_id)


def test_the_next_process_of_the_run_gets_it_when_the_leases_of_the_killed_one_have_ended(database: Database) -> None:
    request_id = staged_by(database)
    assert handed_out(database, request_id) == SECRET
    hold(database, request_id, f"{RUN}/1", seconds=0)  # as it is when nobody renews them
    hold(database, request_id, f"{RUN}/2")
    assert handed_out(database, request_id, f"{RUN}/2") == SECRET
    with pytest.raises(SecretInUse):
        handed_out(database, request_id, f"{RUN}/1")


# When it goes.


def finish(database: Database, request_id: str) -> None:
    begin(database, request_id)
    save_files(database, [FileChange(id=one.id, status=Status.COMPLETED) for one in files_of(database, request_id)])
    close_requests(database, [request_id])


def crash_often(database: Database, request_id: str) -> None:
    for number in range(3):
        begin(database, request_id, run=f"{number}")
        resubmit_requests(database, f"{number}", DIED)


def pass_the_deadline(database: Database, request_id: str) -> None:
    long_ago = update(StagingRequestRow).where(col(StagingRequestRow.id) == request_id)
    before = datetime.now(UTC) - timedelta(days=1)
    database.write(lambda session: session.execute(long_ago.values(deadline=before)) and None)
    stop_overdue_requests(database)


ENDINGS: dict[str, Callable[[Database, str], object]] = {
    "done": finish,
    "failed": lambda database, request_id: fail_request(database, request_id, DIED),
    "closed": lambda database, request_id: close_requests(database, [request_id]),
    "cancelled before it began": cancel_request,
    "cancelled item by item": lambda database, request_id: cancel_items(database, request_id, [0, 1]),
    "never begun by its deadline": pass_the_deadline,
    "crashed too often": crash_often,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_goes_with_its_request_however_that_ends(database: Database, ending: str) -> None:
    request_id, other = ask(database), ask(database)
    ENDINGS[ending](database, request_id)
    assert get_request(database, request_id).status.is_final
    assert kept(database) == [other]
    with pytest.raises(SecretGone, match="give the secret again") as refused:
        handed_out(database, request_id)
    assert refused.value.mended_by == "you"


def test_what_another_version_left_is_deleted_and_nothing_else(database: Database) -> None:
    left, other = ask(database), ask(database)
    ended = update(StagingRequestRow).where(col(StagingRequestRow.id) == left).values(status=Status.FAILED)
    database.write(lambda session: session.execute(ended) and None)
    with pytest.raises(SecretGone):
        handed_out(database, left)
    assert [forget_missed_secrets(database) for _ in range(2)] == [1, 0]
    assert kept(database) == [other]


def test_a_large_request_has_one_too_which_goes_when_its_items_stop_arriving(database: Database) -> None:
    terms = StagingTerms(method="local_copy", username="alice")
    whole, abandoned = (
        begin_large_request(database, terms, origin="api", idempotency_key=key, secret=given()) for key in "ab"
    )
    for request_id in (whole, abandoned):
        add_items(database, request_id, ITEMS, start=0)
    submit_large_request(database, whole, item_count=2, digest="digest", flow_run_id=RUN)
    abandon_large_request(database, abandoned)
    assert kept(database) == [whole]
    begin(database, whole)
    hold(database, whole, f"{RUN}/1")
    assert handed_out(database, whole) == SECRET


def test_a_retry_needs_it_again(database: Database) -> None:
    terms = StagingTerms(method="local_copy", username="alice")
    request_id = begin_large_request(database, terms, origin="prefect", idempotency_key=None, has_secret=True)
    add_items(database, request_id, ITEMS, start=0)
    submit_large_request(database, request_id, item_count=2, digest="digest", flow_run_id=RUN)
    begin(database, request_id)
    hold(database, request_id, f"{RUN}/1")
    assert get_request(database, request_id).has_secret
    with pytest.raises(SecretGone, match="give the secret again"):
        handed_out(database, request_id)


# What is kept.


def test_a_request_that_is_repeated_keeps_the_first_secret(database: Database) -> None:
    first = create_request(database, ASKED, idempotency_key="key", secret=given())
    again = create_request(database, ASKED, idempotency_key="key", secret=given("another"))
    begin(database, first.id)
    hold(database, first.id, f"{RUN}/1")
    assert again.id == first.id
    assert handed_out(database, first.id) == SECRET


def test_with_a_secret_it_is_another_request_than_without(database: Database) -> None:
    for key, first, second in (("a", given(), None), ("b", None, given())):
        create_request(database, ASKED, idempotency_key=key, secret=first)
        with pytest.raises(IdempotencyConflict):
            create_request(database, ASKED, idempotency_key=key, secret=second)


def test_with_other_keys_it_is_not_read_and_with_its_own_it_is_again(database: Database) -> None:
    request_id = staged_by(database)
    for keys, error in ((OTHER_KEYS, SecretUnreadable), (SecretKeys(None), SecretKeyMissing)):
        with pytest.raises(error) as refused:
            handed_out(database, request_id, keys=keys)
        assert refused.value.mended_by == "operator"
    assert handed_out(database, request_id) == SECRET


def test_neither_records_nor_events_nor_log_lines_have_it(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request_id = staged_by(database)
    assert SECRET in handed_out(database, request_id)
    with pytest.raises(SecretUnreadable):
        handed_out(database, request_id, keys=OTHER_KEYS)
    for shown in (dump(database), caplog.text, repr(get_request(database, request_id))):
        assert SECRET not in shown
    row = database.read(lambda session: session.get(RequestSecret, request_id))
    assert row is not None
    assert "sealed" not in repr(row)
    assert [file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()] == []


def test_a_record_that_is_deleted_takes_it_along(database: Database) -> None:
    request_id = begin_large_request(
        database, StagingTerms(method="local_copy", username="alice"), origin="api", idempotency_key="k", secret=given()
    )
    row = StagingRequestRow
    database.write(lambda session: session.execute(delete(row).where(col(row.id) == request_id)) and None)
    assert kept(database) == []
