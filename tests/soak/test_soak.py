"""A short soak: load and kills for 45 seconds, after which all is final, whole and nothing else there."""

from __future__ import annotations

import pytest

from tests.soak.soak import soak
from tests.soak.table import table

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]  # each of its waits has an end of its own
# `make soak` chooses another seed each time.
SECONDS, SEED = 45.0, 1


def test_whatever_is_killed_all_that_was_accepted_becomes_final_and_nothing_else_is_left() -> None:
    report = soak(seconds=SECONDS, seed=SEED)
    assert report.faults == [], table(report)
    kinds = {asked.kind for asked in report.ledger.accepted}
    assert kinds == {"interactive", "bulk"}
    assert report.requests["local_copy"]["completed"]
    assert report.killed
