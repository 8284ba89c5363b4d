"""A store that has too much to do gets half as many calls at a time, and by and by more again."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from stager.errors import Cancelled, PeerBusy
from stager.peers.connections import left_once
from stager.peers.s3.abilities import abilities_of
from stager.peers.s3.retries import Pace
from stager.peers.s3.single import put
from tests.peers.faulty_proxy import FaultyProxy, answered
from tests.peers.running_rgw import RunningRgw
from tests.peers.s3.conftest import connection_to, hurried

AT_ONCE = 8
SLOW_DOWN = answered("503 Slow Down", b"<Error><Code>SlowDown</Code></Error>", "application/xml")


class Counted:
    """Calls of which it is known how many go at a time; the first ones are refused once all of them are under way."""

    def __init__(self, refused: int) -> None:
        self.most_after = 0
        self._under_way = 0
        self._refused = refused
        self._counting = threading.Lock()
        self._all = threading.Barrier(refused)

    def __call__(self) -> None:
        with self._counting:
            self._under_way += 1
            self._refused -= 1
            is_refused = self._refused >= 0
            if not is_refused:
                self.most_after = max(self.most_after, self._under_way)
        try:
            if is_refused:
                self._all.wait()
                raise PeerBusy("The store", "SlowDown")  # noqa: TRY003 - its words
        finally:
            with self._counting:
                self._under_way -= 1


def hurried_pace() -> Pace:
    pace = Pace()
    pace.delays_seconds = (0.01,) * 5
    return pace


def test_calls_are_half_as_many_once_a_store_has_too_much_to_do() -> None:
    pace, call = hurried_pace(), Counted(AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda _: pace.repeated(call), range(AT_ONCE)))
    assert 1 <= call.most_after <= AT_ONCE // 2


def test_they_become_more_again_one_for_each_round_that_goes_well() -> None:
    pace = hurried_pace()
    with pace.turns.turn():
        pace.turns.halve()
    assert pace.turns.at_once == 1
    pace.repeated(lambda: None)
    assert pace.turns.at_once == 2
    for _ in range(100):
        pace.repeated(lambda: None)
    assert 10 <= pace.turns.at_once <= 20


def test_a_call_within_another_waits_for_no_turn() -> None:
    pace = hurried_pace()
    pace.turns.at_once = 1
    assert pace.repeated(lambda: pace.repeated(lambda: "inner")) == "inner"


def test_who_waits_for_a_turn_hears_that_it_is_left() -> None:
    pace, is_left = hurried_pace(), threading.Event()
    pace.turns.at_once = 1

    def asked() -> None:
        with left_once(is_left.is_set):
            pace.repeated(lambda: None)

    with ThreadPoolExecutor(1) as threads:
        with pace.turns.turn():
            waiting = threads.submit(asked)
            is_left.set()
            with pytest.raises(Cancelled):
                waiting.result()
        pace.repeated(lambda: None)


def test_all_arrives_at_a_real_store_that_had_too_much_to_do(rgw: RunningRgw) -> None:
    with FaultyProxy("127.0.0.1", rgw.plain_port).running() as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        with connection_to(rgw, endpoint=endpoint).opened() as bucket, ThreadPoolExecutor(AT_ONCE) as threads:
            abilities_of(hurried(bucket))
            assert bucket.pace.turns.at_once == math.inf
            proxy.break_calls("object", SLOW_DOWN, times=3)
            keys = [f"{bucket.prefix}/{number}" for number in range(4 * AT_ONCE)]
            list(threads.map(partial(put, bucket, content=b"1"), keys))
            assert bucket.pace.turns.at_once < math.inf
            assert sorted(one.key for one in bucket.list(bucket.prefix)) == sorted(keys)
