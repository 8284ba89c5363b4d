"""The table at the end of a soak."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from tests.soak.memory import GROWTH_MIB, MIB
from tests.soak.soak import Report


def table(report: Report) -> str:
    """Return what a soak has done and found, for people to read."""
    rows = [*_rows(report)]
    width = max(len(what) for what, _ in rows)
    return "\n".join(
        [
            f"Soak of {report.seconds:.0f} s, seed {report.seed}, records in {report.database}",
            *(f"  {what:<{width}}  {figures}" for what, figures in rows),
            f"Found wrong: {len(report.faults) or 'nothing'}",
            *(f"  {fault}" for fault in report.faults),
        ]
    )


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    ledger = report.ledger
    yield "requests accepted", _counts(Counter(asked.kind for asked in ledger.accepted))
    yield "calls made again", _counts(ledger.repeated)
    for method, statuses in sorted(report.requests.items()):
        yield f"final, {method}", _counts(statuses)
    yield "items", _counts(report.items)
    yield "errors of items", _counts(report.errors)
    yield "kills", _counts(report.killed)
    sent = sum(ledger.downloaded_bytes) / MIB
    yield "downloads", f"{_counts(ledger.downloads)}; {sent:,.0f} MiB"
    if seconds := sorted(ledger.interactive_seconds):
        last = seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]
        yield (
            "a file, asked to seen",
            f"p50 {statistics.median(seconds):.2f} s, p99 {last:.2f}, longest {seconds[-1]:.2f}",
        )
    for name, (before, most, after) in report.memory.items():
        figures = f"{before:.0f} MiB after the warm-up, {most:.0f} at most, {after:.0f} at the end"
        yield f"memory (PSS), {name}", figures
    yield "folders in TMPDIR", f"{report.temporary_folders}, most of them of killed workers, and empty"
    yield "growth that is allowed", f"{GROWTH_MIB} MiB"


def _counts(counted: Counter[str]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counted.items())) or "none"
