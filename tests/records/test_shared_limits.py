"""What all transfers to a server share: slots that the dead lose, and a rate that holds for all together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from stager.models import StagingItem, StagingRequest
from stager.records.database import Database
from stager.records.leases import release_leases, renew_leases
from stager.records.requests import create_request
from stager.records.shared_limits import give_slot_back, take_slot, use_rate
from tests.patience import PATIENCE

HUB = "The notebook hub https://hub.example.org"
# What a process does that takes a slot again and again, and tells how many have one at that moment.
TAKES = """
import sys, time
from stager.records.database import Database
from stager.records.shared_limits import give_slot_back, take_slot, use_rate
url, server, holder = sys.argv[1:]
database = Database(url, patience=60)
for _ in range(5):
    while (key := take_slot(database, server, slots=2, request_id="r", holder=holder, seconds=600)) is None:
        time.sleep(0.01)
    print("takes", time.time(), flush=True)
    time.sleep(0.02)
    print("gives", time.time(), flush=True)
    give_slot_back(database, key, holder=holder)
    use_rate(database, server, 1000, bytes_per_second=1000)
"""


def take(database: Database, holder: str, *, slots: int = 1, seconds: float = 600, server: str = HUB) -> str | None:
    return take_slot(database, server, slots=slots, request_id="r", holder=holder, seconds=seconds)


def test_there_are_as_many_slots_as_the_operator_says_and_one_that_is_given_back_is_free(database: Database) -> None:
    taken = [take(database, f"run {number}", slots=3) for number in range(4)]
    assert (len({*taken}), taken[3]) == (4, None)
    give_slot_back(database, str(taken[1]), holder="run 1")
    assert take(database, "run 4", slots=3) == taken[1]


def test_one_user_leaves_half_of_the_slots_to_others(database: Database) -> None:
    def ask(username: str) -> bool:
        item = StagingItem(source="a", destination="a")
        asked = StagingRequest(method="jupyter_copy", username=username, items=(item,))
        request_id = create_request(database, asked).id
        return bool(take_slot(database, HUB, slots=5, request_id=request_id, holder=username, seconds=600))

    assert [ask("alice") for _ in range(4)] == [True, True, True, False]
    assert [ask("bob") for _ in range(3)] == [True, True, False]


def test_another_server_has_slots_of_its_own(database: Database) -> None:
    assert take(database, "run 1")
    assert take(database, "run 2", server="The notebook hub https://another.example.org")


def test_whoever_has_lost_a_slot_does_not_give_back_that_of_another(database: Database) -> None:
    key = take(database, "run 1", seconds=0)
    assert take(database, "run 2") == key
    give_slot_back(database, str(key), holder="run 1")
    assert take(database, "run 3") is None


def test_the_slot_of_a_run_that_was_killed_is_free_when_its_time_is_over(database: Database) -> None:
    assert take(database, "killed", seconds=1)
    deadline = time.monotonic() + PATIENCE
    while take(database, "run 2") is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_keeps_its_slots_with_its_leases_and_ends_them_so(database: Database) -> None:
    assert take(database, "run 1", seconds=0)
    assert renew_leases(database, holder="run 1", seconds=600) == 1
    assert take(database, "run 2") is None
    release_leases(database, holder="run 1")
    assert take(database, "run 2")


def test_several_processes_and_threads_together_have_no_more_than_there_are(
    database: Database, database_url: str
) -> None:
    def run(number: int) -> str:
        command = [sys.executable, "-c", TAKES, database_url, HUB, f"run {number}"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout

    with ThreadPoolExecutor(4) as pool:
        told = "".join(pool.map(run, range(4))).splitlines()
    events = sorted((float(moment), {"takes": 1, "gives": -1}[what]) for what, moment in map(str.split, told))
    held = [sum(change for _, change in events[: number + 1]) for number in range(len(events))]
    assert len(events) == 4 * 5 * 2
    assert max(held) <= 2
    assert use_rate(database, HUB, 0, bytes_per_second=1000) <= 4 * 5


def test_a_rate_is_that_of_all_together(database: Database) -> None:
    began = time.monotonic()
    together = threading.Barrier(8)

    def use(_: int) -> float:
        together.wait(PATIENCE)
        wait = use_rate(database, HUB, 100_000, bytes_per_second=10_000)
        return time.monotonic() + wait

    with ThreadPoolExecutor(8) as pool:
        ends = sorted(pool.map(use, range(8)))
    assert ends[-1] - began >= 8 * 10
    assert use_rate(database, "another", 1, bytes_per_second=10_000) < 1


def test_a_rate_that_was_set_too_low_by_mistake_is_soon_forgotten(database: Database) -> None:
    for _ in range(3):
        use_rate(database, HUB, 2**50, bytes_per_second=1)
    assert use_rate(database, HUB, 0, bytes_per_second=1_000_000) <= 2 * 600
