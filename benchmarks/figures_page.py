"""The figures of a benchmark, printed and put into its page of the manual."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

FIRST, LAST = "<!-- figures -->\n", "<!-- end of figures -->\n"


def write_figures(page: Path, figures: Iterable[str]) -> None:
    """Print lines as they come, and write them between the marks of a page."""
    lines = []
    for line in figures:
        print(line, flush=True)
        lines.append(line)
    text = FIRST + "\n".join(lines) + "\n" + LAST
    page.write_text(re.sub(f"{FIRST}.*{LAST}", lambda _: text, page.read_text(), flags=re.DOTALL))
