"""How much a site needs for very many items, reckoned from what the benchmark of them has measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

MEASURED = Path(__file__).parents[2] / "reference" / "speed" / "bulk.md"
ITEMS, MOVER = "an item each, one request", "the mover alone, an item each"
MEMORY, SIZE = "memory (RSS) of the {}, at most", "size of the records, at the first look and at the end"
MILLION, NODES, KIB_OF_MIB = 1_000_000, 10, 1024
NOT_SHARED = "none: it is a file of one machine"


def bulk_sizing() -> str:
    """Return a table: what one run does and needs, and what ten nodes would do, with each kind of records."""
    page = MEASURED.read_text()
    kinds = re.findall(r"^### Files a second, records in (.+)$", page, re.MULTILINE)
    files = _number(re.findall(r"([\d,]+) files of", page)[0])
    measured = {kind: dict(_measured(page, kind)) for kind in kinds}
    columns = [[*_of_one_run(rows, files), *_of_nodes(rows, kind)] for kind, rows in measured.items()]
    lines = (f"| {one[0][0]} | {' | '.join(figure for _, figure in one)} |\n" for one in zip(*columns, strict=True))
    return f"| records in | {' | '.join(kinds)} |\n|---{'|---' * len(kinds)}|\n{''.join(lines)}"


def _of_one_run(rows: Mapping[str, str], files: float) -> Iterator[tuple[str, str]]:
    """Yield what was measured of one run: what it is, and the figure."""
    rate = _number(rows[ITEMS])
    first, last = map(_number, rows[SIZE].split(", "))
    run = sum(_number(rows[MEMORY.format(one)]) for one in ("run", "mover"))
    yield "items a second, one run", f"{rate:,.0f}"
    yield "that is of what a mover alone does", f"{rate / _number(rows[MOVER]):.0%}"
    yield "a million items, one run after the other", _minutes(MILLION / rate)
    yield "memory of a run with its mover, at most", f"{run:.0f} MiB"
    yield "memory of the worker beside them, at most", rows[MEMORY.format("worker")]
    yield from ((what, figure) for what, figure in rows.items() if what.startswith("processor time"))
    yield "records, an item", f"{last * KIB_OF_MIB / files:.1f} KiB"
    yield "what of that is there before an item is staged", f"{first / last:.0%}"


def _of_nodes(rows: Mapping[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """Yield what nodes would do, each as the one that was measured."""
    rate = NODES * _number(rows[ITEMS])
    is_shared = kind != "SQLite"
    yield f"{NODES} nodes with a run each, items a second", f"{rate:,.0f}" if is_shared else NOT_SHARED
    yield f"a million items, by {NODES} such nodes", _minutes(MILLION / rate) if is_shared else NOT_SHARED


def _measured(page: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield what the tables of a kind of records tell, and its first figure."""
    for part in page.split("\n### ")[1:]:
        if part.partition("\n")[0].endswith(f"records in {kind}"):
            yield from re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", part, re.MULTILINE)


def _number(figure: str) -> float:
    return float(figure.split(maxsplit=1)[0].replace(",", ""))


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"
