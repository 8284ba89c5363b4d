"""What Alice may not read comes to her by no call that answers at once, however the areas are."""

from __future__ import annotations

import pytest

from tests.attacks.doors import READING_DOORS
from tests.attacks.site import Site
from tests.attacks.tricks import READING, Place
from tests.attacks.world import MARK, SHARED, TOLD

HERS = [Place("user", "own")]
SOURCES = [Place("source", "a.fits"), Place("source", "shared/open")]


def is_told(door: str, place: Place) -> bool:
    """Return whether a call may say that something is there: what is in a folder that she may list."""
    return door == "archiveinfo" and place.is_in_sight


@pytest.mark.parametrize("door", READING_DOORS)
def test_nothing_of_another_comes_by_a_call(site: Site, areas: str, door: str) -> None:
    _, read, known = READING_DOORS[door]
    answers = {trick: read(site, place) for trick, place in READING.items() if place.area in known}

    given = [READING[trick] for trick, answer in answers.items() if not answer.is_refusal]
    assert areas
    assert [place for place in given if not (place.may_be_listed or is_told(door, place))] == []
    assert [trick for trick, answer in answers.items() if MARK in answer.body or TOLD.encode() in answer.body] == []


@pytest.mark.parametrize("door", [door for door, (_, _, known) in READING_DOORS.items() if "user" in known])
def test_what_lies_outside_her_folder_is_not_there_in_the_words_of_what_is_not(
    site: Site, areas: str, door: str
) -> None:
    ways = ("{}", "../{}", "l/../../{}", "up/{}", "{{areas}}/{}")
    there, missing = ([Place("user", way.format(name)) for way in ways] for name in ("bob/group", "nobody/group"))
    _, read, _ = READING_DOORS[door]

    answers = [[read(site, place) for place in places] for places in (there, missing)]
    words = [[answer.body.replace(b"nobody", b"bob") for answer in some] for some in answers]

    assert areas
    assert [answer.status for some in answers for answer in some] == [404] * 2 * len(ways)
    assert words[0] == words[1]


@pytest.mark.parametrize("door", READING_DOORS)
def test_what_is_hers_or_her_groups_comes_by_the_same_call(site: Site, areas: str, door: str) -> None:
    _, read, known = READING_DOORS[door]
    readable = [*(SOURCES if areas != "source closed" else []), *HERS]
    answers = [read(site, place) for place in readable if place.area in known]

    assert bool(answers) == ("user" in known or areas != "source closed")
    if door == "listing":  # it is no folder, and told so
        assert {answer.status for answer in answers} <= {400, 409, 422}
        assert read(site, Place("user", ".")).status == 200
        return
    assert {answer.status for answer in answers} <= {200, 201, 206}
    if door in {"download", "direct_download"}:
        assert {answer.body for answer in answers} <= {SHARED}
