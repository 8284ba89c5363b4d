"""Uploaded manifests: CSV or JSON Lines, one item a line, parsed as a stream.

`stager.http.call_limits` bounds their bytes, `stager.api.large.intake` their items.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import Message
from itertools import islice
from typing import BinaryIO, TextIO

from pydantic import ValidationError

from stager.api.large.intake import ItemPages
from stager.errors import InvalidManifest, UnreadableManifest
from stager.models import MAX_PATH_BYTES, StagingItem

CSV, JSON_LINES = "text/csv", "application/x-ndjson"
# Items that are read and recorded at a time.
ITEMS_AT_ONCE = 1000
# Room for two paths of which each character is escaped, and for the rest of the line.
MAX_LINE_BYTES = 16 * MAX_PATH_BYTES

GZIP = b"\x1f\x8b"  # how such a file begins: RFC 1952, section 2.3.1
COMPRESSED = "A manifest is not compressed"

Parser = Callable[[TextIO], Iterator[StagingItem]]


async def spooled(body: AsyncIterator[bytes], file: BinaryIO) -> None:
    """Write a body to a file: a slow caller holds neither a thread nor the database."""
    async for block in body:
        await asyncio.to_thread(file.write, block)
    file.seek(0)


async def pages_of(file: TextIO, parse: Parser) -> ItemPages:
    """Yield a manifest's items, some thousand at a time: memory use stays constant.

    Raises
    ------
    InvalidManifest
        A line is not as it must be, or there is none.
    """
    items = parse(file)
    is_empty = True
    while page := await asyncio.to_thread(lambda: list(islice(items, ITEMS_AT_ONCE))):
        is_empty = False
        yield page
    if is_empty:
        raise InvalidManifest(1, "there are no items")


def spool() -> BinaryIO:
    """Return a temporary file without a name, which disappears when it is closed."""
    return tempfile.TemporaryFile()


def parse_csv(file: TextIO) -> Iterator[StagingItem]:
    """Yield the items of a CSV file with a header (RFC 4180); an empty field counts as missing.

    Raises
    ------
    InvalidManifest
        A line is not as it must be.
    """
    reader = csv.reader(_limited(file), strict=True)
    try:
        names = next(reader, [])
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise InvalidManifest(reader.line_num, f"{twice[0] or 'a column without a name'} appears twice")
        for fields in filter(None, reader):
            if len(fields) > len(names):
                raise InvalidManifest(reader.line_num, f"it has {len(fields)} fields, and the header {len(names)}")
            said = {name: value for name, value in zip(names, fields, strict=False) if value}
            yield _item(said, line=reader.line_num)
    except csv.Error as error:
        raise InvalidManifest(reader.line_num, str(error)) from error


def parse_json_lines(file: TextIO) -> Iterator[StagingItem]:
    """Yield the items of a JSON Lines file; empty lines are skipped.

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


def is_manifest(content_type: str) -> bool:
    """Tell whether a content type is that of a manifest."""
    return _said(content_type).get_content_type() in PARSERS


def _said(content_type: str) -> Message:
    said = Message()
    said["Content-Type"] = content_type
    return said


def parser_of(content_type: str) -> Parser:
    """Return the parser for manifests of a content type.

    Raises
    ------
    UnreadableManifest
        It is no manifest, or in an encoding other than UTF-8.
    """
    said = _said(content_type)
    charset = said.get_content_charset("utf-8")
    if said.get_content_type() not in PARSERS:
        reason = f"A manifest is {' or '.join(PARSERS)}"
        raise UnreadableManifest(reason)
    if charset not in ("utf-8", "utf8", "us-ascii"):
        reason = f"A manifest is in UTF-8, not in {charset}"
        raise UnreadableManifest(reason)
    return PARSERS[said.get_content_type()]


def text_of(file: BinaryIO) -> TextIO:
    """Return a manifest's text; bytes that are not UTF-8, as names may have, become lone surrogates (PEP 383).

    Raises
    ------
    UnreadableManifest
        It is compressed by gzip.
    """
    is_compressed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    if is_compressed:
        raise UnreadableManifest(COMPRESSED)
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _limited(file: TextIO) -> Iterator[str]:
    line = 0
    while text := file.readline(MAX_LINE_BYTES + 1):
        line += 1
        if len(text) > MAX_LINE_BYTES:
            raise InvalidManifest(line, f"it is longer than {MAX_LINE_BYTES} characters")
        yield text


def _item(said: object, *, line: int) -> StagingItem:
    try:
        return StagingItem.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidManifest(line, f"{place}: {first['msg']}" if place else first["msg"]) from error
