"""Many requests at once, while what serves them is killed: every record ends, and says what is on the storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.stack import Stack, stack
from benchmarks.staging import burst

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def made() -> Iterator[Stack]:
    with stack("warm") as made:
        yield made


@pytest.mark.parametrize(
    ("count", "trouble"),
    [(20, False), (60, True)],
    ids=["undisturbed", "worker killed twice, Prefect restarted once"],
)
def test_every_record_of_a_burst_ends_and_is_right(made: Stack, count: int, *, trouble: bool) -> None:
    found = burst(made, count, trouble=trouble)
    delivered = found.statuses.get("completed", 0) + found.statuses.get("skipped", 0)
    assert (sum(found.statuses.values()), delivered) == (count, count)
    assert found.delivered == count
    assert found.locked == 0
