"""The pages of faults say what the errors of the code say."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from stager import errors

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = "".join((REFERENCE / name).read_text() for name in ("notebook-faults.md", "s3-faults.md"))
ROWS = re.findall(r"^\| .+ \| `(\w+)` \| (.+) \| (yes|no) \| (\w+) \|$", PAGES, flags=re.MULTILINE)


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


def test_every_error_of_another_server_is_in_a_table() -> None:
    assert {kind for kind, *_ in ROWS} >= kinds(errors.PeerError) - {"PeerError"}
