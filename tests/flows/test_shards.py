"""A large request is done by several runs side by side; what befalls one of them leaves the others alone."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from stager.errors import RunLost
from stager.models import Status
from stager.records.cutting import ShardLimits
from stager.records.events import events_of
from stager.records.requests import cancel_request, get_request, list_requests
from stager.records.runs import FairShare, claim_run_group, note_flow_run, resubmit_requests
from stager.records.shards import shards_of
from tests.flows.conftest import RUN
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.conftest import Site

    SiteWith = Callable[..., Site]

SHARE = FairShare(username="alice", method="local_copy", is_next=True)
# Comes to a stand in the transfer of the shard's second batch; a stopped process could keep the database locked.
STANDS_IN_THE_SECOND_BATCH = """
import threading
from stager.runs.batch import Batch
begun, each = [], Batch.each
def stopping(batch, step, *given, **more):
    begun.append(step)
    if begun.count("transfer") == 2:
        threading.Event().wait()
    return each(batch, step, *given, **more)
Batch.each = stopping
"""


def asked(site: Site, count: int, *, each: int, source: str = "a.fits") -> str:
    """Return a request of so many items, cut into shards of so many."""
    items = [(source, f"{number:04}") for number in range(count)]
    return site.request(*items, limits=ShardLimits(items=each, size_bytes=10**12))


def next_run(site: Site) -> str:
    """Claim the next shard, and return the flow run that Prefect was asked for, as the dispatcher does."""
    group = claim_run_group(site.database, SHARE, limit=1)
    assert group is not None
    parameters = {"request_ids": group.request_ids}
    run = site.asked_for("local_copy", parameters, idempotency_key=group.key)
    note_flow_run(site.database, group.request_ids, run, run_key=group.key)
    return run


def ended(site: Site, run: str) -> str:
    with site.executing(RUN, "local_copy", run) as process:
        return site.ended(process)[0]


def delivered(site: Site) -> list[str]:
    return sorted(path.name for path in (site.users / "alice").iterdir())


def test_shards_run_side_by_side_and_the_last_one_closes_the_request(site: Site) -> None:
    request_id = asked(site, 30, each=10)
    runs = [next_run(site) for _ in range(3)]
    with ExitStack() as stack:
        processes = [stack.enter_context(site.executing(RUN, "local_copy", run)) for run in runs]
        said = sorted(site.ended(process)[0] for process in processes)
    assert [one.partition(": ")[0] for one in said] == ["Completed"] * 3
    assert [f"shard {number} of 3: completed" in "".join(said) for number in (1, 2, 3)] == [True] * 3
    assert delivered(site) == [f"{number:04}" for number in range(30)]
    row = get_request(site.database, request_id)
    assert (row.status, row.files_done) == (Status.COMPLETED, 30)
    kinds = Counter(event.kind for event in events_of(site.database, request_id))
    assert (kinds["started"], kinds["shard"], kinds["completed"]) == (3, 2, 1)


def test_a_shard_that_was_killed_goes_on_where_it_was_while_another_is_done(site: Site) -> None:
    site.settings["STAGER_LEASE"] = "5"
    request_id = asked(site, 700, each=600)
    first, second = next_run(site), next_run(site)
    with site.executing(STANDS_IN_THE_SECOND_BATCH + RUN, "local_copy", first) as stopped:
        site.eventually(lambda: stopped.poll() is not None or len(done(site, request_id)) >= 256)
        assert ended(site, second).startswith("Completed")
        stopped.kill()
    before = done(site, request_id)
    assert {position for position, _ in before} == {*range(256), *range(600, 700)}
    resubmit_requests(site.database, first, RunLost("its worker was killed"))
    assert [shard.status for shard in shards_of(site.database, [request_id])[request_id]] == [
        Status.SUBMITTED,
        Status.COMPLETED,
    ]
    assert ended(site, next_run(site)).startswith("Completed")
    assert before <= done(site, request_id)  # nothing of it was done again
    row = get_request(site.database, request_id)
    assert (row.status, row.files_done, row.crashes) == (Status.COMPLETED, 700, 1)
    assert len(delivered(site)) == 700


def done(site: Site, request_id: str) -> set[tuple[int, object]]:
    """Return the positions of the items that were delivered, and when."""
    return {(file.position, file.finished_at) for file in site.files(request_id) if file.status is Status.COMPLETED}


def test_a_cancel_reaches_the_shards_under_way_and_those_that_wait(site: Site) -> None:
    request_id = asked(site, 900, each=300)
    run = next_run(site)
    with site.executing(RUN, "local_copy", run) as process:
        site.eventually(lambda: process.poll() is not None or bool(done(site, request_id)))
        cancel_request(site.database, request_id)
        process.communicate(timeout=PATIENCE)
    row = get_request(site.database, request_id)
    statuses = Counter(file.status for file in site.files(request_id))
    assert row.status is Status.CANCELLED
    assert set(statuses) == {Status.COMPLETED, Status.CANCELLED}
    assert len(delivered(site)) == statuses[Status.COMPLETED]


def test_prefects_retry_of_a_shard_does_what_that_one_did_not_deliver(site: Site) -> None:
    request_id = asked(site, 4, each=2, source="late.fits")
    runs = [next_run(site), next_run(site)]
    for run in runs:
        assert "Source path does not exist" in ended(site, run)
    assert get_request(site.database, request_id).status is Status.FAILED
    (site.folder / "storage/late.fits").write_bytes(b"late")
    retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    site.ask(f"flow_runs/{runs[1]}/set_state", retry)
    assert ended(site, runs[1]).startswith("Completed")
    assert delivered(site) == ["0002", "0003"]
    again = list_requests(site.database).requests[0]
    assert (again.retry_of, again.item_count, again.status) == (request_id, 2, Status.COMPLETED)
