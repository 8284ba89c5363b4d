"""Paths that lead out of an area, or are none."""

from __future__ import annotations

# "out" is a symbolic link that whoever uses them puts there.
ATTACKS = {
    "upwards": "../../../../etc/passwd",
    "upwards inside": "a/../../../etc/passwd",
    "absolute": "/etc/passwd",
    "a NUL": "a\0b",
    "upwards behind a NUL": "a\0/../../etc/passwd",
    "a link that leads out": "out/passwd",
    "proc": "/proc/self/environ",
    "a lone surrogate": "\ud800",
    "a surrogate that stands for no byte": "a\udc00/b",
    "4,097 bytes": "a" * 4097,
    "a name of 300 bytes": "a" * 300,
    "two thousand folders": "a/" * 2000,
}
