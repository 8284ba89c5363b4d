"""Plots of figures as SVG, for the manual: bars beside each other, and curves over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 720, 26, 260, 80, 30, 40
HEIGHT = 260
COLOURS = ("#1f77b4", "#d95f02", "#2ca02c", "#7f7f7f")
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
PAPER = '<rect width="100%" height="100%" fill="white"/>'

Points = Sequence[tuple[float, float]]


def bars(path: Path, title: str, values: Mapping[str, float]) -> None:
    """Write a bar for each name, with its value behind it."""
    height = TOP + ROW * len(values) + 10
    room, most = WIDTH - LEFT - RIGHT, max(values.values())
    lines = [HEAD.format(width=WIDTH, height=height), PAPER, _text(10, 18, title)]
    for number, (name, value) in enumerate(values.items()):
        y, long = TOP + ROW * number, room * value / most
        lines.append(_text(LEFT - 8, y + 15, name, anchor="end"))
        lines.append(f'<rect x="{LEFT}" y="{y + 3}" width="{long:.1f}" height="{ROW - 8}" fill="{COLOURS[0]}"/>')
        lines.append(_text(LEFT + long + 6, y + 15, f"{value:,.0f}"))
    path.write_text("\n".join([*lines, "</svg>\n"]))


def curves(path: Path, title: str, series: Mapping[str, Points], marks: Mapping[str, float]) -> None:
    """Write curves over the seconds, from zero on, and a dashed line with a name at each mark."""
    points = [point for one in series.values() for point in one]
    last, most = max(x for x, _ in points), max(y for _, y in points) or 1
    left, room, tall = 70, WIDTH - 70 - 20, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return left + room * x / last, TOP + tall * (1 - y / most)

    def drawn() -> Iterator[str]:
        yield HEAD.format(width=WIDTH, height=HEIGHT)
        yield PAPER
        yield _text(10, 18, title)
        yield f'<path d="M{left} {TOP}V{TOP + tall}H{left + room}" fill="none" stroke="black"/>'
        yield _text(left - 6, TOP + 10, f"{most:,.0f}", anchor="end")
        yield _text(left - 6, TOP + tall, "0", anchor="end")
        yield _text(left + room, TOP + tall + 16, f"{last:,.0f} s", anchor="end")
        for number, (name, curve) in enumerate(series.items()):
            line, colour = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in curve)), COLOURS[number]
            yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            yield _text(left + 130 * number, HEIGHT - 8, name, colour=colour)
        for name, moment in marks.items():
            x, _ = at(moment, 0)
            yield f'<path d="M{x:.1f} {TOP}V{TOP + tall}" stroke="gray" stroke-dasharray="4"/>'
            yield _text(x + 3, TOP + 10, name, colour="gray")

    path.write_text("\n".join([*drawn(), "</svg>\n"]))


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
