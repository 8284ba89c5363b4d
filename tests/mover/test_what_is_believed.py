"""A mover is its user's: what it says counts for its own items alone, and what is no message ends it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stager.errors import DestinationDiffers, MoverLost, UnforeseenError
from stager.mover.answers import Watch
from stager.mover.channel import ConnectionLost
from stager.mover.dialogue import FILES_IN_A_MESSAGE, PAGE_ITEMS, TOLD_AT_ONCE
from stager.mover.replies import StepDone, reply_of
from stager.paths import locate
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.mover.conftest import Liar

DONE = {"says": "done", "id": 1}
SURVEYED = {"kind": "file", "size_bytes": 1, "file_count": 1, "fingerprint": "ab", "allocated_bytes": 1}
DELIVERED = {"kind": "file", "size_bytes": 1, "file_count": 1, "fingerprint": "ab"}
ADLER32, SHA256 = {"checksum_algorithm": "adler32"}, {"checksum_algorithm": "sha256"}


def delivered(checksum: str | None, **more: str | None) -> dict[str, Any]:
    return {**DONE, "delivered": {**DELIVERED, "checksum": checksum, "checksum_algorithm": None, **more}}


NONSENSE: dict[str, Any] = {
    "another's item": {"says": "done", "id": 3},
    "a negative size": {**DONE, "surveyed": {**SURVEYED, "size_bytes": -1}},
    "a size beyond any": {**DONE, "surveyed": {**SURVEYED, "size_bytes": 2**64}},
    "true for a number": {**DONE, "surveyed": {**SURVEYED, "file_count": True}},
    "a fingerprint that no column takes": {**DONE, "surveyed": {**SURVEYED, "fingerprint": "a" * 65}},
    "an unknown kind": {**DONE, "surveyed": {**SURVEYED, "kind": "device"}},
    "more than there is": {**DONE, "more": 1},
    "a checksum that is too long": delivered(64 * "a", **ADLER32),
    "a checksum that is too short": delivered("ab", **SHA256),
    "a checksum of no algorithm": delivered("0a1b2c3d"),
    "an algorithm without a checksum": delivered(None, **ADLER32),
    "an algorithm that it never takes": delivered(32 * "a", checksum_algorithm="md5"),
    "a file without a checksum": {"says": "report", "id": 1, "files": [["a", 1, ""]]},
    "another's item, also": {**DONE, "also": [3]},
    "an item twice": {**DONE, "also": [1]},
    "an item also twice": {**DONE, "also": [2, 2]},
    "another's item, among several": {"says": "several", "done": [DONE, {**DONE, "id": 3}]},
    "an item twice among several": {"says": "several", "done": [DONE, DONE]},
    "an item among several and also": {"says": "several", "done": [{**DONE, "also": [2]}, {**DONE, "id": 2}]},
    "something else among several": {"says": "several", "done": [DONE, {"says": "alive"}]},
    "an order": {"do": "begin"},
    "a list": [1],
    "over too early": {"says": "over"},
    "a link without its descriptors": {"says": "link", "id": 1, "descriptors": 2},
}


@pytest.mark.parametrize("what", NONSENSE)
def test_what_is_no_answer_to_the_order_ends_the_mover_and_its_items_alone(liar: Liar, what: str) -> None:
    outcomes = liar.says(NONSENSE[what])
    assert [(item_id, type(error)) for item_id, error in outcomes] == [(1, MoverLost), (2, MoverLost)]
    assert liar.mover.is_lost


@pytest.mark.parametrize("raw", [b"\n", b"nonsense\n", b"[" * 100_000 + b"\n", b'{"says": "done", "id": 1e999}\n'])
def test_what_is_no_message_ends_the_mover(liar: Liar, raw: bytes) -> None:
    assert {type(error) for _, error in liar.says(raw=raw)} == {MoverLost}


def test_an_error_keeps_its_class_and_is_one_printable_line(liar: Liar) -> None:
    forged = {"says": "failed", "id": 1, "type": "DestinationDiffers", "message": "a\n\x1b[2Jb" + "x" * 100_000}
    strange = {"says": "failed", "id": 2, "type": "os", "message": "x"}
    outcomes = dict(liar.says(forged, strange, {"says": "over"}))
    assert [type(outcomes[1]), type(outcomes[2])] == [DestinationDiffers, UnforeseenError]
    assert str(outcomes[1]).isprintable()
    assert len(str(outcomes[1])) < 10_000


def test_what_it_found_of_its_items_is_taken(liar: Liar) -> None:
    outcomes = dict(liar.says({**DONE, "surveyed": SURVEYED}, {"says": "done", "id": 2}, {"says": "over"}))
    first = outcomes[1]
    assert isinstance(first, StepDone)
    assert first.surveyed is not None
    assert first.surveyed.survey().size_bytes == 1
    assert not liar.mover.is_lost


def test_of_several_items_it_may_tell_at_once(liar: Liar) -> None:
    outcomes = dict(liar.says({**DONE, "also": [2]}, {"says": "over"}))
    assert {item_id: type(outcome) for item_id, outcome in outcomes.items()} == {1: StepDone, 2: StepDone}
    page = {"says": "several", "done": [{**DONE, "surveyed": SURVEYED}, {**DONE, "id": 2}]}
    outcomes = dict(liar.says(page, {"says": "over"}))
    assert {item_id: type(outcome) for item_id, outcome in outcomes.items()} == {1: StepDone, 2: StepDone}


def test_a_name_that_is_no_text_is_taken_as_it_is(liar: Liar) -> None:
    file = ["a\udcff", 1, "00000001"]
    files: list[str] = []
    liar.end.sendall(json.dumps({**DONE, "files": [file]}).encode() + b"\n" + b'{"says": "over"}\n')
    watch = Watch(stopped=threading.Event(), on_file=lambda entry: files.append(entry.path))
    [(_, outcome)] = liar.mover.do("transfer", {1: watch})
    assert isinstance(outcome, StepDone)
    assert files == ["a\udcff"]


def test_one_that_does_not_listen_is_told_of_all_that_it_is_to_leave_in_one_message(liar: Liar) -> None:
    stopped = threading.Event()
    stopped.set()
    order = liar.mover.do("flush", dict.fromkeys(range(5000), Watch(stopped=stopped)))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(list, order)
        with liar.end.makefile("rb") as lines:
            next(lines)
            assert json.loads(next(lines)) == {"stop": [*range(5000)]}
        for first in range(0, 5000, TOLD_AT_ONCE):
            also = [*range(first + 1, min(first + TOLD_AT_ONCE, 5000))]
            liar.end.sendall(json.dumps({"says": "done", "id": first, "also": also}).encode() + b"\n")
        liar.end.sendall(b'{"says": "over"}\n')
        assert len(done.result(PATIENCE)) == 5000


def listed(liar: Liar, *pages: list[str], pattern: Sequence[str], after: str) -> list[str]:
    """Have it answer an order to list with these pages, and return what is believed of them."""
    for page in pages:
        liar.end.sendall(
            json.dumps({"says": "report", "id": 1, "found": [[path, 1] for path in page]}).encode() + b"\n"
        )
    liar.end.sendall(json.dumps(DONE).encode() + b"\n" + b'{"says": "over"}\n')
    found: list[str] = []
    watch = Watch(stopped=threading.Event(), on_found=lambda some: found.extend(one.path for one in some))
    liar.mover.expand(1, locate(Path("/"), "tree"), pattern, after=after, read_as="user", watch=watch)
    return found


@pytest.mark.parametrize(
    "page",
    [
        ["../x.ms"],
        ["b/../c.ms"],
        ["b/./c.ms"],
        ["b//c.ms"],
        ["/b.ms"],
        ["c.ms/"],
        ["b.txt"],
        ["b.ms", "b.ms"],
        ["c.ms", "b.ms"],
        ["a.ms"],
        ["a.ms/b.ms"],
        ["a.md.ms"],
        ["b.ms/c.ms"],
        ["\ud800.ms"],
    ],
)
def test_what_it_was_not_asked_to_list_ends_it_and_is_not_taken(liar: Liar, page: list[str]) -> None:
    with pytest.raises(MoverLost, match="not asked for"):
        listed(liar, page, pattern=["**", "*.ms"], after="a.ms")


def test_one_message_names_no_more_than_an_honest_one(liar: Liar) -> None:
    names = [f"{number:03}" for number in range(FILES_IN_A_MESSAGE + 1)]
    assert listed(liar, names[:-1], names[-1:], pattern=["**"], after="") == names
    with pytest.raises(MoverLost):
        listed(liar, names, pattern=["**"], after="")


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (PAGE_ITEMS, lambda many: {"says": "several", "done": [{**DONE, "id": number} for number in range(many)]}),
        (TOLD_AT_ONCE, lambda many: {**DONE, "also": [*range(many)]}),
        (FILES_IN_A_MESSAGE, lambda many: {**DONE, "files": [["a", 1, "00000001"]] * many}),
    ],
    ids=["items", "items of which there is little to tell", "files"],
)
def test_one_message_tells_of_no_more_than_an_honest_one(most: int, told: Callable[[int], dict[str, Any]]) -> None:
    reply_of(told(most))
    with pytest.raises(ConnectionLost):
        reply_of(told(most + 1))


def test_nothing_is_listed_twice_nor_in_another_by_several_messages(liar: Liar) -> None:
    with pytest.raises(MoverLost):
        listed(liar, ["b"], ["b/c"], pattern=["**"], after="")


def test_what_it_was_asked_to_list_is_taken(liar: Liar) -> None:
    pages = ["b/c.ms", "b/d/a.ms"], ["b/d-.ms", "b.ms", "c\udcff.ms"]
    assert listed(liar, *pages, pattern=["**", "*.ms"], after="a.ms") == [*pages[0], *pages[1]]
