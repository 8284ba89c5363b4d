"""The query parameters of every answer in pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

MAX_PAGE = 1000
# The largest value of a BIGINT.
LAST = 2**63 - 1

PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many entries at most.")]
Cursor = Annotated[int | None, Query(ge=0, le=LAST, description="The previous page's next_cursor.", examples=[1000])]
