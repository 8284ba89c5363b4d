"""What Alice may not read is staged to her by no call and no method, and nothing that is not hers is written over."""

from __future__ import annotations

import itertools
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.attacks.doors import RETRY, STAGING_DOORS, request_of, written
from tests.attacks.site import METHODS, Answer, Site
from tests.attacks.tricks import READING, WRITING
from tests.attacks.world import COMMON, MARK, OWN_GROUPS, SHARED, UIDS

AS_ALICE = [
    *("setpriv", f"--reuid={UIDS['alice']}", f"--regid={OWN_GROUPS['alice']}", f"--groups={COMMON}"),
    *("--bounding-set=-all", "--inh-caps=-all", "--"),
]
# Where nothing but a link is made, that leads where the user could go by themselves.
LINKS_ALONE = "local_symlink"


# A call for one item is made by the first method alone: the run is the same as that of the others' items.
TRIED = [(door, method) for door in STAGING_DOORS for method in METHODS if door != "stage_data" or method == METHODS[0]]
SHOWN = [*TRIED, *(("retry", method) for method in METHODS)]


@dataclass
class Staged:
    """What became of all that was asked for: the items of each door and method, by their sources and destinations."""

    site: Site
    items: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    open: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def ask(self, door: str, method: str, items: list[tuple[str, str]], **terms: str) -> None:
        _, stage, _, most = STAGING_DOORS[door]
        for first in range(0, len(items), most):
            answer = stage(self.site, items[first : first + most], method=method, **terms)
            assert answer.status in {201, 202}, answer.body
            self.open.setdefault((door, method), []).append(request_of(answer))

    def retry(self) -> None:
        """Ask again for all that failed of what was asked for in one body."""
        for (door, method), ids in list(self.items_by_request("request").items()):
            for request_id in ids:
                if self.site.ended(request_id)["status"] != "failed":
                    continue
                answer: Answer = self.site.answer(*RETRY.format(request_id=request_id).split(), json={})
                assert answer.status == 202, (door, answer.body)
                self.open.setdefault(("retry", method), []).append(request_of(answer))

    def items_by_request(self, door: str) -> dict[tuple[str, str], list[str]]:
        return {key: ids for key, ids in self.open.items() if key[0] == door}

    def wait(self) -> None:
        """Wait until all of it has ended."""
        for key, ids in self.open.items():
            known = self.items.setdefault(key, [])
            known[:] = [item for one in ids for item in self.site.ended(one)["items"]]

    def done(self, door: str, method: str) -> set[tuple[str, str]]:
        """Return what a door and a method delivered, or found there."""
        done = {"completed", "skipped"}
        return {(one["source"], one["destination"]) for one in self.items[door, method] if one["status"] in done}


def _sources(site: Site, area: str) -> list[str]:
    return [written(site, place.path) for place in READING.values() if place.area == area]


@pytest.fixture(scope="module")
def areas(site: Site) -> str:
    """How the areas are; closed ones are tried in tests/flows/test_acting.py."""
    site.world.shut("open")
    return "open"


@pytest.fixture(scope="module")
def read(site: Site, areas: str) -> Staged:
    """Ask for every source that is not hers, by every call and method, and wait."""
    staged, numbers = Staged(site), itertools.count()
    for door, method in TRIED:
        for area in STAGING_DOORS[door][2]:
            terms = {"source_area": area} if area != "source" else {}
            items = [(source, f"{areas}-{next(numbers)}") for source in _sources(site, area)]
            staged.ask(door, method, items, **terms)
        if areas != "source closed":
            staged.ask(
                door, method, [("a.fits", f"{areas}-{door}-{method}"), ("shared/open", f"{areas}-{door}-{method}-2")]
            )
    staged.wait()
    staged.retry()
    staged.wait()
    return staged


@pytest.mark.parametrize(("door", "method"), SHOWN)
def test_nothing_of_another_is_delivered(read: Staged, areas: str, door: str, method: str) -> None:
    done = read.done(door, method)
    expected = set() if areas == "source closed" or door == "retry" else {"a.fits", "shared/open"}
    links = {place.path for place in READING.values() if place.may_be_listed}

    assert {source for source, _ in done} - (links if method == LINKS_ALONE else set()) == expected
    assert len(read.items[door, method]) >= len(_sources(read.site, "source"))


def test_whatever_was_delivered_has_nothing_of_another_in_it_for_her(read: Staged, areas: str) -> None:
    got = [path.name for path in read.site.world.alice.glob(f"{areas}-*")]
    look = ["find", "-H", *got, "-type", "f", "-readable", "-exec", "grep", "-l", MARK.decode(), "{}", "+"]
    found = subprocess.run([*AS_ALICE, *look], cwd=read.site.world.alice, capture_output=True, text=True, check=False)

    assert found.stdout == ""


def test_what_she_may_read_is_delivered_as_it_is(read: Staged, areas: str) -> None:
    if areas == "source closed":
        assert not list(read.site.world.alice.glob(f"{areas}-request*"))
        return
    for door, method in TRIED:
        got = read.site.world.alice / f"{areas}-{door}-{method}"
        assert got.read_bytes() == SHARED
        assert got.lstat().st_uid == UIDS["root" if method == "symlink_copy" else "alice"]


@pytest.fixture(scope="module")
def wrote(site: Site) -> Staged:
    """Ask for every destination that is not hers, by every call and method, also to replace what is there."""
    site.world.shut("open")
    staged = Staged(site)
    items = [("a.fits", written(site, path)) for path in WRITING.values()]
    for door, method in TRIED:
        if door == "Tape stage":
            also = [(path, path) for path in WRITING.values() if (site.world.storage / path).is_file()]
            for one in items + also:
                staged.ask(door, method, [one])
            continue
        for on_conflict in ("skip_identical", "replace") if door in {"request", "manifest"} else ("",):
            staged.ask(door, method, items, **({"on_conflict": on_conflict} if on_conflict else {}))
    staged.wait()
    staged.retry()
    staged.wait()
    return staged


@pytest.mark.parametrize(("door", "method"), SHOWN)
def test_nothing_is_written_where_she_may_not_write(wrote: Staged, door: str, method: str) -> None:
    assert wrote.done(door, method) == set()
    assert len(wrote.items[door, method]) >= len(WRITING)
    assert os.listdir(wrote.site.world.alice / "locked") == []  # noqa: PTH208 - names alone
