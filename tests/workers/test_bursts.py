"""Many requests at once: every record ends, and says what is on the storage."""

from __future__ import annotations

import pytest

from benchmarks.stack import stack
from benchmarks.staging import burst

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]
COUNT = 60


def test_every_record_of_a_burst_ends_and_is_right() -> None:
    with stack("warm") as made:
        found = burst(made, COUNT)
        assert found.statuses == {"completed": COUNT}
        assert found.delivered == COUNT
        assert found.locked == 0
