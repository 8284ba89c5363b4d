"""A link is taken once, within its time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import update
from sqlmodel import col, func, select

from stager.records.database import Database, now
from stager.records.downloads import LinkedObject, add_link, take_link
from stager.records.tables import DownloadLink

OBJECT = LinkedObject(username="alice", area="source", path="odd \udcff/a\nb", archive="zip")
ANONYMOUS = LinkedObject(username=None, area="source", path="a", archive="tar")


def digest(number: int) -> str:
    return f"{number:064x}"


def end(database: Database, number: int) -> None:
    row = DownloadLink
    database.write(
        lambda session: (
            session.execute(
                update(row)
                .where(col(row.digest) == digest(number))
                .values(expires_at=now(session) - timedelta(seconds=1))
            )
            and None
        )
    )


def test_a_link_leads_to_what_it_was_made_for(database: Database) -> None:
    for number, linked in enumerate((OBJECT, ANONYMOUS)):
        add_link(database, digest(number), linked, seconds=60)

    assert [take_link(database, digest(number)) for number in range(3)] == [OBJECT, ANONYMOUS, None]


def test_of_many_who_take_a_link_at_once_one_gets_it(database: Database) -> None:
    for number in range(10):
        add_link(database, digest(number), OBJECT, seconds=60)
        with ThreadPoolExecutor(8) as threads:
            got = list(threads.map(lambda _, one=number: take_link(database, digest(one)), range(8)))
        assert sorted(map(bool, got)) == [False] * 7 + [True]


def test_a_link_whose_time_is_over_leads_nowhere_and_is_forgotten(database: Database) -> None:
    for number in range(2):
        add_link(database, digest(number), OBJECT, seconds=60)
    end(database, 0)
    taken = take_link(database, digest(0))
    add_link(database, digest(2), OBJECT, seconds=60)
    known = database.read(lambda session: session.scalar(select(func.count()).select_from(DownloadLink)))

    assert (taken, known) == (None, 2)


def test_a_link_that_is_written_twice_since_the_answer_was_lost_is_one(database: Database) -> None:
    first, second = (add_link(database, digest(0), OBJECT, seconds=60) for _ in range(2))

    assert first == second
    assert take_link(database, digest(0)) == OBJECT
