"""Bodies of calls: read only once the caller is known, bounded, and parsed in a thread if they are large."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from stager.callers.current import settle_caller
from stager.errors import BodyTooComplex, StagingError
from stager.http.call_limits import most_values
from stager.http.problems import MAX_FINDINGS

# Bodies from this size on are parsed in a thread, and so many of them at a time.
LARGE_BYTES = 16 * 1024
_parsing = asyncio.Semaphore(2)
# Of more mistakes in a large body only the number is reported: a list of them would take too long.
MANY_MISTAKES = 20_000


class BodyRoute(APIRoute):
    """A route whose handler takes a model from the body, which is not read before the caller is known."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the call."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        model: TypeAdapter[Any] = TypeAdapter(self.body_field.field_info.annotation or Any)

        async def serve(request: Request) -> Response:
            await settle_caller(request)
            try:
                return await handle(BoundedRequest(request, model))
            except HTTPException as error:  # FastAPI makes a 400 of what happens while it reads a body
                if isinstance(error.__cause__, StagingError | RequestValidationError):
                    raise error.__cause__ from None
                raise

        return serve


class BoundedRequest(Request):
    """A call whose body may have no more values than the site accepts."""

    def __init__(self, request: Request, model: TypeAdapter[Any]) -> None:
        super().__init__(request.scope, request.receive)
        self._model = model

    async def stream(self) -> AsyncIterator[bytes]:  # type: ignore[override] # Starlette's is a generator, too
        """Yield the body as it arrives; raise as soon as it has too many values."""
        values = ValueCounter(most_values(self.app.state.settings))
        async for piece in super().stream():
            values.count(piece)
            yield piece

    async def json(self) -> Any:  # noqa: ANN401 - what was sent
        """Return the parsed JSON; of a large body the model made of it, or why that is impossible.

        Raises
        ------
        json.JSONDecodeError
            It is no JSON.
        RequestValidationError
            It is large, and not as it must be.
        """
        body = await self.body()
        if len(body) < LARGE_BYTES:
            return _said(body)
        async with _parsing:
            return await asyncio.to_thread(_parsed, body, self._model)


class ValueCounter:
    """Counts the values of a JSON text that arrives in pieces, without parsing it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.found = 1
        self._is_in_string = False
        self._held = b""

    def count(self, piece: bytes) -> None:
        """Count the values of the next piece.

        Raises
        ------
        BodyTooComplex
            There are more values by now than the limit.
        """
        text = (self._held + piece).replace(rb"\\", b"")
        self._held = text[-1:] if text.endswith(b"\\") else b""
        parts = text.removesuffix(b"\\").replace(rb"\"", b"").split(b'"')
        outside = b"".join(parts[self._is_in_string :: 2])
        self._is_in_string ^= len(parts) % 2 == 0
        self.found += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        if self.found > self._limit:
            raise BodyTooComplex(self._limit)


def _said(body: bytes) -> Any:  # noqa: ANN401 - what was sent
    """Return a body as text in UTF-8 (RFC 8259, section 8.1); in other encodings, values would not be counted."""
    return json.loads(body.decode("utf-8-sig", "surrogatepass"))


def _parsed(body: bytes, model: TypeAdapter[Any]) -> Any:  # noqa: ANN401 - whatever the model is of
    """Return the model made of a body, which FastAPI takes as it is."""
    try:
        return model.validate_python(_said(body))
    except ValidationError as error:
        raise RequestValidationError(_findings(error)) from None


def _findings(error: ValidationError) -> list[dict[str, Any]]:
    count = error.error_count()
    if count > MANY_MISTAKES:
        return [{"type": "too_many_mistakes", "loc": ("body",), "msg": f"The body has {count} mistakes"}]
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FINDINGS]
    return [{**about, "loc": ("body", *about["loc"])} for about in found]
