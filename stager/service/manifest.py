"""A manifest that a caller uploads: CSV or JSON Lines, a line an item, read as it comes."""

from __future__ import annotations

import asyncio
import csv
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import BinaryIO, TextIO

from pydantic import ValidationError

from stager.errors import InvalidManifest
from stager.models import MAX_PATH_BYTES, StagingItem
from stager.service.arrival import Pages

CSV, JSON_LINES = "text/csv", "application/x-ndjson"
# Items that are read, and written down, at a time.
PAGE = 1000
# Two paths, each character of which may be an escape, and something to spare.
MAX_LINE = 16 * MAX_PATH_BYTES

Parser = Callable[[TextIO], Iterator[StagingItem]]


async def spooled(body: AsyncIterator[bytes], file: BinaryIO) -> None:
    """Write a body to a file: a slow caller holds neither a thread nor the database."""
    async for block in body:
        await asyncio.to_thread(file.write, block)
    file.seek(0)


async def pages_of(file: TextIO, parse: Parser) -> Pages:
    """Give a manifest's items, some thousand at a time; memory stays flat.

    Raises
    ------
    InvalidManifest
        A line is not as it must be, or there is none.
    """
    items = parse(file)
    is_empty = True
    while page := await asyncio.to_thread(lambda: list(islice(items, PAGE))):
        is_empty = False
        yield page
    if is_empty:
        raise InvalidManifest(1, "there are no items")


def spool() -> BinaryIO:
    """Return a file without a name, which is gone when it is closed."""
    return tempfile.TemporaryFile()


def parse_csv(file: TextIO) -> Iterator[StagingItem]:
    """Give the items of a CSV with a header (RFC 4180); a field that is empty is not said.

    Raises
    ------
    InvalidManifest
        A line is not as it must be.
    """
    reader = csv.DictReader(_limited(file), strict=True)
    try:
        for fields in reader:
            said = {name: value for name, value in fields.items() if value != ""}
            yield _item(said, line=reader.line_num)
    except csv.Error as error:
        raise InvalidManifest(reader.line_num, str(error)) from error


def parse_json_lines(file: TextIO) -> Iterator[StagingItem]:
    """Give the items of JSON Lines; an empty line is passed over.

    Raises
    ------
    InvalidManifest
        A line is not as it must be.
    """
    for line, text in enumerate(_limited(file), 1):
        if text.strip():
            try:
                said = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise InvalidManifest(line, str(error) or "it is nested too deeply") from error
            yield _item(said, line=line)


PARSERS: dict[str, Parser] = {CSV: parse_csv, JSON_LINES: parse_json_lines}


def _limited(file: TextIO) -> Iterator[str]:
    line = 0
    while text := file.readline(MAX_LINE + 1):
        line += 1
        if len(text) > MAX_LINE:
            raise InvalidManifest(line, f"it is longer than {MAX_LINE} characters")
        yield text


def _item(said: object, *, line: int) -> StagingItem:
    try:
        return StagingItem.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidManifest(line, f"{place}: {first['msg']}" if place else first["msg"]) from error
