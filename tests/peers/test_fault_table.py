"""The page of faults says what the errors of the code say."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from stager import errors

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "notebook-faults.md").read_text()
ROWS = re.findall(r"^\| .+ \| `(\w+)` \| (.+) \| (yes|no) \| (\w+) \|$", PAGE, flags=re.MULTILINE)


def kinds(base: type[errors.StagingError]) -> set[str]:
    """Return the names of all kinds of an error."""
    return {base.__name__} | {name for each in base.__subclasses__() for name in kinds(each)}


@pytest.mark.parametrize(("kind", "said", "is_retried", "mended_by"), ROWS)
def test_a_fault_is_told_tried_again_and_mended_as_its_error_says(
    kind: str, said: str, is_retried: str, mended_by: str
) -> None:
    error: Any = getattr(errors, kind)
    parts = [re.escape(text) + (".+" if name else "") for text, name, *_ in Formatter().parse(error.template)]
    assert re.fullmatch("".join(parts), said)
    assert (is_retried, mended_by) == ("yes" if error.retryable else "no", error.mended_by)


def test_every_error_of_another_server_is_in_the_table() -> None:
    assert {kind for kind, *_ in ROWS} >= kinds(errors.PeerError) - {"PeerError"}
