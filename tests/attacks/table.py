"""The tables of docs/reference/attacks.md: ``python -m tests.attacks.table`` writes the page."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from tests.attacks.doors import OTHER_DOORS, READING_DOORS, REQUEST_DOORS, RETRY, STAGING_DOORS, has_no_words_for
from tests.attacks.site import METHODS
from tests.attacks.tricks import NAMING, READING, WRITING
from tests.attacks.world import AREAS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "attacks.md"
INTRODUCTION = f"""# What was tried

The tests in `tests/attacks/` attack a whole site: root's service with authentication on, an OpenID provider, Prefect and a worker. Alice and Bob are two
accounts that share a group; Alice has a shell and a token of her own. Each trick of a table is tried by each call of it, and `held` says that it gave her
nothing: no byte, no name and no size of what is not hers, and nothing outside her folder was changed. What answers at once is tried while the areas are
{", ".join(AREAS)}; what is staged is really run, from open areas, by {", ".join(METHODS)} (`stage_data`: by local_copy). A dash: the call cannot say that.

A call of the API that takes a path, an area, a name or an id, and is in no table, fails
`test_every_call_that_names_something_is_tried`. The page is written by `python -m tests.attacks.table`; a test compares it.
"""  # noqa: E501 - a page's lines are as long as its tables
RACES = """## While folders are exchanged

A process of Alice's exchanges a folder of hers for links to Bob's folders, as fast as it can, meanwhile:

| what is done | held by |
|---|---|
| each call that reads, above | `test_a_folder_that_is_exchanged_while_it_is_read_gives_nothing_of_another` |
| stagings from that folder, by each method | `test_a_source_that_is_exchanged_while_it_is_staged_gives_nothing_of_another` |
| stagings to that folder, by each method, with `replace` | `test_a_folder_that_is_exchanged_while_it_is_written_to_changes_nothing_of_another` |
| the sweep of that folder | `test_a_folder_that_is_exchanged_while_it_is_swept_loses_nothing_of_another` |

`ATTACK_ROUNDS` says how often each is done: 2 where it is not set.
"""  # noqa: E501 - likewise


def page() -> str:
    """Return the page as it must be."""
    calls = {door: operation for door, (operation, *_) in (READING_DOORS | STAGING_DOORS).items()} | {"retry": RETRY}
    reading: dict[str, Collection[str]] = {door: known for door, (_, _, known) in READING_DOORS.items()}
    staging: dict[str, Collection[str]] = {door: known for door, (_, _, known, _) in STAGING_DOORS.items()} | {
        "retry": {"source", "user"}
    }
    areas = {trick: place.area for trick, place in READING.items()}
    return "\n".join(
        [
            INTRODUCTION,
            *_calls(calls),
            "## To read what is not hers\n",
            *_table("in the area", reading | staging, areas),
            "## To write where she may not\n",
            *_table("", {door: {""} for door in staging}, dict.fromkeys(WRITING, "")),
            "## To be somebody else, or to stage to the source\n",
            *_table("", {door: _said_by(door) for door in STAGING_DOORS}, {name: name for name in NAMING}),
            "## Others' requests, links and logs\n",
            *_names(),
            RACES,
        ]
    )


def _calls(calls: dict[str, str]) -> Iterator[str]:
    yield "| in the tables | call |\n|---|---|"
    yield from (f"| {door} | `{operation}` |" for door, operation in calls.items())
    yield ""


def _table(of_area: str, doors: dict[str, Collection[str]], tricks: dict[str, str]) -> Iterator[str]:
    """Give a table: a row a trick, a column a call; it is tried where the call knows what the trick needs."""
    first = ["trick", *([of_area] if of_area else [])]
    yield "| " + " | ".join([*first, *doors]) + " |"
    yield "|" + "---|" * (len(first) + len(doors))
    for trick, needs in tricks.items():
        cells = ["held" if needs in known else "-" for known in doors.values()]
        yield "| " + " | ".join([trick, *([needs] if of_area else []), *cells]) + " |"
    yield ""


def _said_by(door: str) -> set[str]:
    return {trick for trick in NAMING if not has_no_words_for(door, trick)}


def _names() -> Iterator[str]:
    yield "| call | tried with | held by |\n|---|---|---|"
    its = "Bob's requests: staged, failed, of the Tape API, and a download"
    for operation in REQUEST_DOORS:
        yield f"| `{operation}` | {its} | `test_anothers_request_is_as_if_there_were_none` |"
    yield from (f"| `{operation}` | what its test says | `{test}` |" for operation, test in OTHER_DOORS.items())
    yield _row("what reads, with `?username=`", "Bob, root, `../bob`, `.`", "test_no_download_is_in_anothers_name")
    what = "each path of the first table, as a directory, a pattern and a prefix"
    yield _row("`POST /requests` with `expand`", what, "test_what_is_expanded_gives_nothing_of_another")
    test = "test_a_link_of_hers_leads_to_what_she_may_read_when_it_is_used"
    yield _row("a link of her own", "its file exchanged for a link to Bob's", test)
    yield ""


def _row(call: str, what: str, test: str) -> str:
    return f"| {call} | {what} | `{test}` |"


if __name__ == "__main__":
    PAGE.write_text(page())
