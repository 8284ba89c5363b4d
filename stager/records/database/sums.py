"""Sums of sizes, which others name: together, they may be more than a column holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, func
from sqlalchemy.orm import Mapped

from stager.models import MAX_SIZE_BYTES

# A size's upper and lower half are added up by themselves, since SQLite refuses a sum that is too large.
HALF = 32
LOWER = 2**HALF - 1
# The upper halves' sum from which on the whole may be too large: the lower ones', of a million items, is added to it.
TOO_LARGE = 2 ** (63 - HALF) - 2**21


def sum_of(sizes: Mapped[int] | Mapped[int | None] | ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the sum of a column's sizes, or the largest size there is where it would be about as large or larger."""
    upper, lower = func.sum(sizes.bitwise_rshift(HALF)), func.sum(sizes.bitwise_and(LOWER))
    return case((upper >= TOO_LARGE, MAX_SIZE_BYTES), else_=upper * 2**HALF + lower)
