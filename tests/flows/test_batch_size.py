"""How many items go together: more once they are seen to be small, whether they were there already or not."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stager.engine import Expected, Survey
from stager.methods import Item
from stager.methods.local_copy import LocalCopy
from stager.paths import locate
from stager.records.tables import StagedFile
from stager.runs.batch import Batch
from stager.runs.batch_size import BATCH_SIZE, LARGE_BATCH_SIZE, SMALL_ITEM_BYTES, SMALL_ITEM_FILES, batch_size_after
from stager.runs.entry import Entry
from stager.runs.stop import Stop
from stager.vocabulary import OnConflict
from tests.modes import MODES

if TYPE_CHECKING:
    from typing import Literal

SMALL = Survey(kind="file", size_bytes=SMALL_ITEM_BYTES, file_count=1, fingerprint="", allocated_bytes=0)
LARGE = replace(SMALL, size_bytes=SMALL_ITEM_BYTES * 4)
CROWDED = replace(SMALL, kind="directory", size_bytes=1, file_count=SMALL_ITEM_FILES + 1)


def batch_of(*surveys: Survey | None, are_there: bool = False, read_as: Literal["user", "service"] = "user") -> Batch:
    area = Path("/area")
    item = Item(
        source=locate(area, "a"),
        source_seen_at=area,
        read_as=read_as,
        destination=locate(area, "b"),
        modes=MODES,
        on_conflict=OnConflict.SKIP_IDENTICAL,
        expected=Expected(),
        last_copy=None,
    )
    nobody: Any = None
    entries = [
        Entry(
            file=StagedFile(id=number),  # type: ignore[call-arg] # no more is looked at
            item=item,
            place="",
            stopped=Stop(),
            survey=survey,
            is_duplicate=are_there,
        )
        for number, survey in enumerate(surveys)
    ]
    return Batch(method=LocalCopy(), entries=entries, writer=nobody, acting=nobody)


@pytest.mark.parametrize("are_there", [True, False])
def test_small_ones_are_followed_by_more_and_large_or_crowded_ones_are_not(*, are_there: bool) -> None:
    after = [batch_size_after(batch_of(one, one, are_there=are_there)) for one in (SMALL, LARGE, CROWDED)]
    assert after == [LARGE_BATCH_SIZE, BATCH_SIZE, BATCH_SIZE]


def test_of_what_was_not_seen_nothing_is_known() -> None:
    assert batch_size_after(batch_of(None, None)) == BATCH_SIZE
    assert batch_size_after(batch_of(None, LARGE)) == BATCH_SIZE


def test_what_is_lent_takes_descriptors_of_the_service() -> None:
    assert batch_size_after(batch_of(SMALL, read_as="service")) == BATCH_SIZE


def test_a_mover_has_descriptors_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert BATCH_SIZE < batch_size_after(batch_of(SMALL)) < 512
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert batch_size_after(batch_of(SMALL)) == BATCH_SIZE
