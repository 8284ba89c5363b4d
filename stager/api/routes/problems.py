"""The page that a problem's ``type`` links to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from stager.http.problems import KINDS_OF_PROBLEMS, documented, title

router = APIRouter(prefix="/problems", tags=["problems"])


class ProblemKind(BaseModel):
    """A kind of problem that a caller can meet."""

    model_config = ConfigDict(frozen=True)

    title: str = Field(description="What it means.", examples=["Nothing is at the source's path"])
    status: int = Field(description="The HTTP status of such an answer.", examples=[400])
    retryable: bool = Field(description="Whether the same call may succeed later.")


@router.get("/{name}", operation_id="get_problem", summary="A kind of problem, explained", responses=documented(404))
async def show_problem(
    name: Annotated[str, Path(description="The last part of a problem's type.", examples=["source-not-found"])],
) -> ProblemKind:
    """Return what a kind of problem means."""
    kind = KINDS_OF_PROBLEMS.get(name)
    if kind is None:
        raise HTTPException(404, f"No kind of problem is called {name}")
    return ProblemKind(title=title(kind), status=kind.http_status, retryable=kind.retryable)
