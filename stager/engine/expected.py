"""What a request says of its source, held against what the source is."""

from __future__ import annotations

from dataclasses import dataclass

from stager.checksums import ADLER32, Checksum, Hasher, hasher_for, text
from stager.engine.control import Control
from stager.engine.file_content import checksum_of
from stager.engine.source import opened
from stager.engine.survey import Survey, survey_opened
from stager.errors import SourceChanged, SourceMismatch
from stager.paths import Location


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the request says that the source is; None where it does not say."""

    checksum: Checksum | None = None
    size_bytes: int | None = None


def require_size(display: str, survey: Survey, expected: Expected) -> None:
    """Raise `SourceMismatch` where a survey shows already that the source is not as requested."""
    if expected.size_bytes not in (None, survey.size_bytes):
        raise SourceMismatch(display, f"{survey.size_bytes} bytes, requested are {expected.size_bytes}")
    if survey.kind == "directory" and expected.checksum:
        raise SourceMismatch(display, f"{expected.checksum} is requested, and a directory has no such checksum")


def require_checksum(display: str, wanted: Checksum | None, *, adler32: int, hasher: Hasher | None) -> None:
    """Raise `SourceMismatch` where the checksum that was taken is not the one that was requested."""
    found = hasher.checksum if hasher else Checksum(ADLER32, text(adler32))
    if wanted not in (None, found):
        raise SourceMismatch(display, f"its checksum is {found}, requested is {wanted}")


def verify(source: Location, *, survey: Survey, expected: Expected, control: Control) -> None:
    """Read a source that is not going to be copied, if the request gives a checksum of it.

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
        hasher = hasher_for(expected.checksum)
        adler32 = checksum_of(found.content.fd, found.status, source.display, control, hasher)
        require_checksum(source.display, expected.checksum, adler32=adler32, hasher=hasher)
        if survey_opened(found).fingerprint != survey.fingerprint:
            raise SourceChanged(source.display, "it is not what it was when it was checked")
