"""What one user asks for makes one run group, users take turns, and nothing is claimed twice or forgotten."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import update
from sqlmodel import col

from stager.errors import Cancelled, RunLost
from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.requests import cancel_request, create_request, fail_request, start_requests
from stager.records.runs import (
    FairShare,
    Load,
    RunGroup,
    claim_run_group,
    claims_without_run,
    fair_shares,
    note_flow_run,
    resubmit_requests,
)
from stager.records.shards import shards_of
from stager.records.tables import Shard
from stager.vocabulary import Pool

METHODS = ("local_copy", "local_symlink")


def ask(
    database: Database,
    username: str,
    method: str = "local_copy",
    *,
    sizes: Collection[int | None] = (None,),
    pool: Pool | None = None,
) -> str:
    items = tuple(StagingItem(source="a", destination=f"b{n}", size_bytes=size) for n, size in enumerate(sizes))
    return create_request(database, StagingRequest(method=method, username=username, items=items, pool=pool)).id


def waiting(
    database: Database, patience: float = 60, methods: Collection[str] = METHODS, most_runs: int = 100
) -> list[tuple[str, bool]]:
    found = fair_shares(database, methods=methods, patience=patience, most_runs=most_runs)
    return [(share.username, share.is_next) for share in found]


def by_size(load: Load) -> Pool:
    return load.wanted_pool or (Pool.POD if load.items >= 8 or load.size_bytes >= 100 else Pool.WARM)


def claim(database: Database, username: str, limit: int = 100) -> RunGroup | None:
    share = FairShare(username=username, method="local_copy", is_next=True)
    return claim_run_group(database, share, limit=limit, pool_of=by_size)


def test_requests_of_a_user_and_method_share_a_run_in_their_order(database: Database) -> None:
    ids = [ask(database, "alice") for _ in range(3)]
    ask(database, "alice", "local_symlink")
    ask(database, "bob")
    expected = RunGroup(key=ids[0], username="alice", method="local_copy", request_ids=tuple(ids), pool=Pool.WARM)
    assert claim(database, "alice") == expected
    assert claim(database, "alice") is None


def test_a_run_carries_no_more_than_its_limit(database: Database) -> None:
    ids = [ask(database, "alice") for _ in range(5)]
    groups = [claim(database, "alice", limit=2) for _ in range(3)]
    assert [group.request_ids for group in groups if group] == [tuple(ids[:2]), tuple(ids[2:4]), tuple(ids[4:])]


def test_a_user_waits_while_a_run_of_theirs_has_not_begun_and_others_do_not(database: Database) -> None:
    first = ask(database, "alice")
    claim(database, "alice")
    ask(database, "alice")
    ask(database, "bob")
    assert waiting(database) == [("alice", False), ("bob", True)]
    start_requests(database, [first], flow_run_id="run", acting_as="alice")
    assert waiting(database) == [("alice", True), ("bob", True)]


def test_a_user_waits_while_as_many_runs_of_theirs_are_under_way_as_may_be(database: Database) -> None:
    firsts = [ask(database, "alice", method) for method in METHODS]
    for number, first in enumerate(firsts):
        start_requests(database, [first], flow_run_id=f"run {number}", acting_as="alice")
        start_requests(database, [ask(database, "bob")], flow_run_id="his only one", acting_as="bob")
    for name in ("alice", "bob"):
        ask(database, name)
    assert waiting(database, most_runs=2) == [("alice", False), ("bob", True)]
    [share, _] = fair_shares(database, methods=METHODS, patience=0, most_runs=2)
    assert share.has_most_runs
    fail_request(database, firsts[0], Cancelled())
    assert waiting(database, most_runs=2) == [("alice", True), ("bob", True)]


def test_pods_that_wait_to_begin_are_counted_among_the_runs_of_their_user(database: Database) -> None:
    start_requests(database, [ask(database, "alice")], flow_run_id="run", acting_as="alice")
    for number in range(2):
        for name, pool in (("alice", Pool.POD), ("bob", Pool.WARM), ("carol", Pool.POD)):
            ask(database, name, pool=pool)
            group = claim(database, name)
            assert group is not None
            if name != "carol":  # whose claims Prefect has not heard of
                note_flow_run(database, group.request_ids, f"{name} {number}", run_key=group.key)
    for name in ("alice", "bob", "carol"):
        ask(database, name)
    others = [("bob", True), ("carol", True)]
    assert waiting(database, patience=0, most_runs=4) == [("alice", True), *others]
    assert waiting(database, patience=0, most_runs=3) == [("alice", False), *others]
    assert waiting(database, patience=0, most_runs=1) == [("alice", False), *others]


def test_nobody_waits_for_a_run_longer_than_patience_allows(database: Database) -> None:
    ask(database, "alice")
    claim(database, "alice")
    ask(database, "alice")
    assert waiting(database, patience=0) == [("alice", True)]


def test_a_run_of_which_nothing_is_left_keeps_nobody_waiting(database: Database) -> None:
    first = ask(database, "alice")
    claim(database, "alice")
    ask(database, "alice")
    cancel_request(database, first)
    assert waiting(database) == [("alice", True)]


def test_other_methods_are_not_looked_at(database: Database) -> None:
    ask(database, "alice", "direct_download")
    assert waiting(database) == []


def test_a_claim_that_was_not_asked_for_is_found_whole_until_its_run_is_known(database: Database) -> None:
    ids = [ask(database, "alice") for _ in range(3)]
    group = claim(database, "alice")
    assert group is not None
    cancel_request(database, ids[1])
    assert claims_without_run(database, older_than=0) == [group]
    assert claims_without_run(database, older_than=60) == []
    note_flow_run(database, ids, "run")
    assert claims_without_run(database, older_than=0) == []


def test_many_doors_claim_each_request_once(database: Database) -> None:
    ids = {ask(database, "alice") for _ in range(30)}
    with ThreadPoolExecutor(6) as pool:
        groups = [group for group in pool.map(lambda _: claim(database, "alice", limit=4), range(40)) if group]
    claimed = [request_id for group in groups for request_id in group.request_ids]
    assert (sorted(claimed), len(claimed)) == (sorted(ids), len(ids))


def claims(database: Database, count: int) -> list[RunGroup]:
    return [group for _ in range(count) if (group := claim(database, "alice"))]


def test_small_requests_never_share_a_run_with_large_ones(database: Database) -> None:
    small = [ask(database, "alice"), ask(database, "alice", sizes=(60, 30))]
    large = [ask(database, "alice", sizes=(60, None, 50)), ask(database, "alice", sizes=(1,) * 8)]
    groups = claims(database, 2)
    assert [(list(group.request_ids), group.pool) for group in groups] == [(small, Pool.WARM), (large, Pool.POD)]
    assert sorted(claims_without_run(database, older_than=0), key=lambda group: group.key) == groups


def test_what_asks_for_another_pool_shares_no_run_with_what_goes_elsewhere(database: Database) -> None:
    warm = [ask(database, "alice"), ask(database, "alice", pool=Pool.WARM, sizes=(1000,))]
    pod = [ask(database, "alice", pool=Pool.POD), ask(database, "alice", sizes=(1000,))]
    warm.append(ask(database, "alice"))
    groups = claims(database, 3)
    assert [(list(group.request_ids), group.pool) for group in groups] == [(warm, Pool.WARM), (pod, Pool.POD)]


def test_a_claim_keeps_its_pool_whatever_the_rule_says_later(database: Database) -> None:
    [asked, other] = [ask(database, "alice"), ask(database, "bob")]
    claims(database, 1)
    claim(database, "bob")
    forget_pool = update(Shard).where(col(Shard.request_id) == other).values(run_pool=None)  # as a version before did
    database.write(lambda session: session.execute(forget_pool) and None)
    found = claims_without_run(database, older_than=0, pool_of=lambda _: Pool.POD)
    assert {group.request_ids[0]: group.pool for group in found} == {asked: Pool.WARM, other: Pool.POD}


def test_another_run_after_a_crash_goes_where_the_rule_says_then(database: Database) -> None:
    asked = ask(database, "alice", pool=Pool.POD)
    [group] = claims(database, 1)
    note_flow_run(database, group.request_ids, "run", run_key=group.key)
    resubmit_requests(database, "run", RunLost("it died"))
    [shard] = shards_of(database, [asked])[asked]
    assert (shard.pool, shard.run_pool) == (Pool.POD, None)
    assert [group.pool for group in claims(database, 1)] == [Pool.POD]


def test_what_has_a_higher_priority_goes_first_among_users_and_in_a_run(database: Database) -> None:
    ids = {}
    for username, priority in (("alice", 0), ("bob", -1), ("carol", 5), ("alice", 2)):
        items = (StagingItem(source="a", destination="b"),)
        wanted = StagingRequest(method="local_copy", username=username, items=items, priority=priority)
        ids[username, priority] = create_request(database, wanted).id
    assert [name for name, _ in waiting(database)] == ["carol", "alice", "bob"]
    group = claim(database, "alice")
    assert group is not None
    assert group.request_ids == (ids["alice", 2], ids["alice", 0])
