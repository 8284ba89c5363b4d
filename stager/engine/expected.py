"""What a request expects of its source, and checks of that."""

from __future__ import annotations

import os
from dataclasses import dataclass

from stager import checksums
from stager.engine.control import Control
from stager.engine.file_content import BLOCK_BYTES, read_block
from stager.engine.source import opened
from stager.engine.survey import Survey, survey_opened
from stager.errors import SourceChanged, SourceMismatch
from stager.paths import Location


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the request expects of the source; None where it says nothing."""

    checksum: str | None = None
    size_bytes: int | None = None


def require_size(display: str, survey: Survey, expected: Expected) -> None:
    """Raise `SourceMismatch` if the survey shows that the source is not as requested."""
    if expected.size_bytes not in (None, survey.size_bytes):
        raise SourceMismatch(display, f"it has {survey.size_bytes} bytes, not the requested {expected.size_bytes}")
    if survey.kind == "directory" and expected.checksum:
        raise SourceMismatch(display, "a directory has no Adler-32 checksum")


def require_checksum(display: str, checksum: str | None, wanted: str | None) -> None:
    """Raise `SourceMismatch` if the checksum is not the requested one."""
    if wanted and checksum != checksums.normalise(wanted):
        raise SourceMismatch(display, f"its checksum is {checksum}, not the requested {checksums.normalise(wanted)}")


def verify(source: Location, *, survey: Survey, expected: Expected, control: Control) -> None:
    """Read a source that is not copied, and check it, if the request gives a checksum.

    Raises
    ------
    SourceMismatch
        It has another checksum than the request says.
    SourceChanged
        It is not what it was when it was looked at.
    SourceError, StorageFault
        It cannot be read.
    Cancelled
        ``control`` said to stop.
    """
    if expected.checksum is None:
        return
    with opened(source) as found:
        require_checksum(source.display, _read(found.content.fd, source.display, control), expected.checksum)
        if survey_opened(found).fingerprint != survey.fingerprint:
            raise SourceChanged(source.display, "it is not what it was when it was checked")


def _read(descriptor: int, display: str, control: Control) -> str:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    size, position, checksum = os.fstat(descriptor).st_size, 0, checksums.EMPTY
    while position < size:
        read = read_block(descriptor, buffer[: min(BLOCK_BYTES, size - position)], position, display)
        checksum = checksums.update(buffer[:read], checksum)
        position += read
        control.advance(0)
    return checksums.text(checksum)
