"""Paths of Tape REST clients, for whom the source area is the root."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from stager.paths import names_in

# Where the same files are downloaded from: a client that stages an address reads that address next.
DOWNLOADS = ("files", "source")


def _any_text(value: Any) -> str:  # noqa: ANN401 - whatever the client sent
    if not isinstance(value, str):
        message = "a path is a string"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns ValueError into a field's error
    return value


# Any text, with lone surrogates and NUL.
AnyText = Annotated[str, PlainValidator(_any_text), WithJsonSchema({"type": "string"})]


def sanitised(path: str) -> str:
    """Return a path with single slashes, in front and between its names, as clients compare it."""
    return "/" + "/".join(names_in(path))


def source_of(path: str) -> str:
    """Return the path in the source area that a client's path stands for.

    ``/files/source/a.fits``, where ``a.fits`` is downloaded from, is it too. The
    root itself is ``.``, which no run accepts.
    """
    names = names_in(path)
    if tuple(names[: len(DOWNLOADS)]) == DOWNLOADS:
        names = names[len(DOWNLOADS) :]
    return "/".join(names) or "."
