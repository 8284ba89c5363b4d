"""Many requests at once, while what serves them is killed: every record ends, and says what is on the storage."""

from __future__ import annotations

import pytest

from benchmarks.stack import stack
from benchmarks.staging import burst

pytestmark = pytest.mark.stack
COUNT = 60


@pytest.mark.parametrize("trouble", [False, True], ids=["undisturbed", "worker killed twice, Prefect restarted once"])
def test_every_record_of_a_burst_ends_and_is_right(*, trouble: bool) -> None:
    with stack("warm") as made:
        found = burst(made, COUNT, trouble=trouble)
        delivered = found.statuses.get("completed", 0) + found.statuses.get("skipped", 0)
        assert (sum(found.statuses.values()), delivered) == (COUNT, COUNT)
        assert found.delivered == COUNT
        assert found.locked == 0
