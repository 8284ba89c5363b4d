"""What a request expects of its source, and checks of that."""

from __future__ import annotations

from dataclasses import dataclass

from stager.checksums import ADLER32, Checksum, Hasher, hasher_for, text
from stager.engine.control import Control
from stager.engine.file_reading import checksum_of
from stager.engine.source import opened
from stager.engine.survey import Survey, survey_opened
from stager.errors import SourceChanged, SourceMismatch
from stager.paths import Location


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the request expects of the source; None where it says nothing."""

    checksum: Checksum | None = None
    size_bytes: int | None = None


def require_size(display: str, survey: Survey, expected: Expected) -> None:
    """Raise `SourceMismatch` if the survey shows that the source is not as requested."""
    if expected.size_bytes not in (None, survey.size_bytes):
        raise SourceMismatch(display, f"it has {survey.size_bytes} bytes, not the requested {expected.size_bytes}")
    if survey.kind == "directory" and expected.checksum:
        raise SourceMismatch(display, f"{expected.checksum} is requested, and a directory has no such checksum")


def require_checksum(display: str, wanted: Checksum | None, *, adler32: int, hasher: Hasher | None) -> None:
    """Raise `SourceMismatch` if the checksum is not the requested one."""
    found = hasher.checksum if hasher else Checksum(ADLER32, text(adler32))
    if wanted not in (None, found):
        raise SourceMismatch(display, f"its checksum is {found}, not the requested {wanted}")


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
        hasher = hasher_for(expected.checksum)
        adler32 = checksum_of(found.content.fd, found.status, source.display, control, hasher)
        require_checksum(source.display, expected.checksum, adler32=adler32, hasher=hasher)
        if survey_opened(found).fingerprint != survey.fingerprint:
            raise SourceChanged(source.display, "it is not what it was when it was checked")
