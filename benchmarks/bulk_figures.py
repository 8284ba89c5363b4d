"""What was measured of very many small files, and its tables and plots."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.plot import bars, curves
from benchmarks.stack import FILE_BYTES
from benchmarks.watched import MIB, SERVER, Watch

ITEMS, PRODUCT = "an item each, one request", "one product, one request"
ROWS_OVER_TIME = 20


@dataclass
class Measured:
    """What was measured with one kind of records: files a second in each round, and the watched first request."""

    records: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    watch: Watch | None = None
    idle: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    killed: dict[str, float] = field(default_factory=dict)
    whole: int = 0


def figures(measured: list[Measured], options: argparse.Namespace, *, load: float, plots: Path) -> Iterator[str]:
    """Yield what was measured, as the page has it, and write its plots."""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}, load {load:.1f} before. "
        f"{options.items:,} files of {FILE_BYTES} bytes, in tmpfs; {options.rounds} rounds in turns."
    )
    for one in measured:
        yield from _rates(one)
        yield from _noticed(one, options)
        yield from _over_time(one)
    yield from _plots(measured, plots)


def _plots(measured: list[Measured], plots: Path) -> Iterator[str]:
    rates = {
        f"{name}, {one.records}": statistics.median(rates) for one in measured for name, rates in one.rates.items()
    }
    over_time = {one.records: [*one.watch.rates()] for one in measured if one.watch}
    kills = {f"{name}, {one.records}": at for one in measured for name, at in one.killed.items()}
    bars(Path(f"{plots}-rates.svg"), "Files a second (median)", rates)
    curves(Path(f"{plots}-time.svg"), "Items a second, over the time of the first request", over_time, kills)
    yield f"\n![Files a second, of each way]({plots.name}-rates.svg)"
    yield f"\n![Items a second, over the time of the first request]({plots.name}-time.svg)"


def _rates(one: Measured) -> Iterator[str]:
    product = statistics.median(one.rates[PRODUCT])
    yield f"\n### Files a second, records in {one.records}\n"
    yield "| | median | range | of one product's |\n|---|---|---|---|"
    for name, rates in one.rates.items():
        middle = statistics.median(rates)
        yield f"| {name} | {middle:,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | {middle / product:.3f} |"


def _noticed(one: Measured, options: argparse.Namespace) -> Iterator[str]:
    assert one.watch  # noqa: S101 - for mypy: the first round was watched
    idle, meanwhile = statistics.median(one.idle), statistics.median(one.meanwhile)
    yield f"\n### Meanwhile, records in {one.records}\n\n| | |\n|---|---|"
    wanted = options.items * options.rounds
    yield f"| copies of items that were there, of the right size | {one.whole:,} of {wanted:,} |"
    ratio = meanwhile / idle
    yield f"| a file of another user: p50 idle, p50 meanwhile | {idle:.2f} s, {meanwhile:.2f} s ({ratio:.2f}) |"
    for part in ("service", "worker", "run", "mover"):
        yield f"| memory (RSS) of the {part}, at most | {one.watch.peak(part):.0f} MiB |"
    for part in ("run", "mover", SERVER, "worker", "service"):
        spent = one.watch.processor_seconds(part) / options.items * 1e6
        yield f"| processor time of {part if part == SERVER else f'the {part}'}, an item | {spent:.0f} µs |"
    first, last = one.watch.looks[0].records_bytes / MIB, one.watch.looks[-1].records_bytes / MIB
    yield f"| size of the records, at the first look and at the end | {first:.0f} MiB, {last:.0f} MiB |"
    moments = [*one.killed.values(), one.watch.looks[-1].seconds]
    for (part, at), until_next in zip(one.killed.items(), moments[1:], strict=False):
        standstill = one.watch.standstill(after=at, until=until_next)
        yield f"| `kill -9` of {part}: longest time without another item after it | {standstill:.1f} s |"


def _over_time(one: Measured) -> Iterator[str]:
    assert one.watch  # noqa: S101 - likewise
    yield f"\n### Over the time, records in {one.records}\n"
    yield "| s | items | items/s | run MiB | mover MiB | records MiB |\n|---|---|---|---|---|---|"
    looks = one.watch.looks
    for index in range(0, len(looks), max(1, len(looks) // ROWS_OVER_TIME)):
        look, rate = looks[index], looks[index].items / looks[index].seconds
        held = f"{look.memory['run']:.0f} | {look.memory['mover']:.0f} | {look.records_bytes / MIB:.0f}"
        yield f"| {look.seconds:.0f} | {look.items:,} | {rate:,.0f} | {held} |"
