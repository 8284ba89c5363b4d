"""What others chose as a path or said in an error, in all that a run leaves in Prefect and in its log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stager.records.requests import get_request
from tasks.shown import as_text

if TYPE_CHECKING:
    from tests.flows.conftest import Site

pytestmark = [pytest.mark.stack, pytest.mark.parametrize("site", ["sqlite"], indirect=True)]

LINE = "12:00:00.000 | ERROR   | forged"
NAME = f"![x](a.png)<b>\n{LINE}\x1b[2J"
SEEN = rf"![x](a.png)<b>\n{LINE}\x1b[2J"
# An error of a library, which may quote what it was given.
BREAKS = f"""
from stager.methods.local_copy import LocalCopy

def broken(self, item):
    raise RuntimeError({NAME!r})

LocalCopy.check_source = broken
"""


@pytest.mark.parametrize("before", ["", BREAKS], ids=["a path that is not there", "an error that nobody foresaw"])
def test_what_others_wrote_is_words_in_all_that_a_run_leaves_in_prefect(site: Site, before: str) -> None:
    request_id = site.request((NAME, f"{NAME}.fits"))
    state, log = site.run("local_copy", request_id, before=before)
    assert (SEEN in state, state.isprintable()) == (True, True)
    artifacts = {one["type"]: one for one in site.artifacts(request_id)}
    (row,) = json.loads(artifacts["table"]["data"])
    assert as_text(SEEN) in row["Source"]
    assert as_text(SEEN) in row["Reason"]
    assert as_text(SEEN) in artifacts["table"]["description"]
    assert "![x]" not in "".join(one["data"] + one["description"] for one in artifacts.values())

    run = get_request(site.database, request_id).flow_run_id
    said = [one["message"] for one in site.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})]
    lines = [line for text in [log, *said] for line in text.splitlines()]
    assert [line for line in lines if line.startswith(LINE) or "\x1b[2J" in line] == []
