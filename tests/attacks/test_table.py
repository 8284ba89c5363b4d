"""The page says what is tried."""

from __future__ import annotations

import re

from tests.attacks import test_expanding, test_names, test_racing
from tests.attacks.table import PAGE, page


def test_the_page_says_what_is_tried() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.attacks.table"
    named = set(re.findall(r"`(test_\w+)`", page()))
    modules = (test_expanding, test_names, test_racing)
    assert {name for name in named if not any(hasattr(one, name) for one in modules)} == set()
