"""What Prefect makes of a task's parameters: it walks lists, maps, dataclasses and models to their last leaf, twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.flows.conftest import STEPS

if TYPE_CHECKING:
    from tests.flows.conftest import Site

pytestmark = [pytest.mark.stack, pytest.mark.parametrize("site", ["sqlite"], indirect=True)]
# Prefect calls this for each leaf of a task's parameters, and for what holds them.
COUNTED = """
import atexit
from prefect import task_engine

resolve, seen = task_engine.resolve_to_final_result, []

def counted(expression, context):
    seen.append(type(expression).__name__)
    return resolve(expression, context)

task_engine.resolve_to_final_result = counted
atexit.register(lambda: print(seen))
"""


def test_no_task_is_given_what_prefect_walks(site: Site) -> None:
    request_id = site.request(*(("a.fits", f"{number}.fits") for number in range(3)))
    said, _ = site.run("local_copy", request_id, before=COUNTED)
    state, visited = said.splitlines()
    assert state.startswith("Completed"), state
    assert visited == str(["Batch"] * len(STEPS))
