"""The check of a call's query: no parameter of it is silently ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from cachetools import cached
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request

# The demo's calls, which accept whatever old clients send.
DEMOS = frozenset(
    {"/", "/docs", "/stage_data", "/stage-data", "/logs", "/config", "/config/allowed-methods", "/create-file"}
)


async def check_query(request: Request) -> None:  # async, or FastAPI calls it in a thread
    """Check that the call has all parameters of its query, and that none but lists is given twice.

    Raises
    ------
    RequestValidationError
        It does not, or something is.
    """
    route: APIRoute = request.scope["route"]
    if not request.scope["query_string"] or route.path in DEMOS:
        return
    said = Counter(name for name, _ in request.query_params.multi_items())
    if wrong := [*_mistakes(said, _known(route))]:
        raise RequestValidationError(wrong)


def _mistakes(said: Counter[str], known: dict[str, bool]) -> Iterator[dict[str, Any]]:
    for name, times in said.items():
        place = ("query", name)
        if name not in known:
            yield {"type": "extra_forbidden", "loc": place, "msg": "The call has no such parameter"}
        elif times > 1 and not known[name]:
            yield {"type": "repeated", "loc": place, "msg": f"It is given {times} times, and may be given once"}


@cached({}, key=lambda route: route.endpoint)
def _known(route: APIRoute) -> dict[str, bool]:
    """Return a call's parameters by name, and whether each may be given several times."""
    return dict(_parameters(route.dependant))


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for field in dependant.query_params:
        of_it = field.field_info.annotation
        if isinstance(of_it, type) and issubclass(of_it, BaseModel):
            yield from ((name, _is_list(member.annotation)) for name, member in of_it.model_fields.items())
        else:
            yield field.alias, _is_list(of_it)
    for inner in dependant.dependencies:
        yield from _parameters(inner)


def _is_list(annotation: Any) -> bool:  # noqa: ANN401 - a type, as it was written
    return list in (get_origin(annotation), *map(get_origin, get_args(annotation)))
