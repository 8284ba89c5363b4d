"""Many requests at once, while what serves them is killed: every record ends, and says what is on the storage."""

from __future__ import annotations

import pytest

from benchmarks.stack import stack
from benchmarks.staging import burst

pytestmark = pytest.mark.stack


def test_every_record_of_a_burst_ends_and_is_right_though_its_worker_and_prefect_are_killed() -> None:
    count = 60
    with stack("warm") as made:
        found = burst(made, count, trouble=True)
    delivered = found.statuses.get("completed", 0) + found.statuses.get("skipped", 0)
    assert (sum(found.statuses.values()), delivered) == (count, count)
    assert found.delivered == count
    assert found.locked == 0
