"""What a mover says of its items, and how much of it is believed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from stager.checksums import ChecksumAlgorithm
from stager.engine import Published, Survey
from stager.errors import KINDS, StagingError, UnforeseenError, readable
from stager.models import MAX_SIZE_BYTES, Frozen, PathText
from stager.mover.channel import NO_MESSAGE, ConnectionLost, Message
from stager.vocabulary import ManifestEntry

# As many characters of an error as a record keeps.
LONGEST_ERROR = 8000

Count = Annotated[int, Field(ge=0, le=MAX_SIZE_BYTES, strict=True)]
TenNumbers = Annotated[list[int], Field(min_length=10, max_length=10)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")]


class Progress(Frozen):
    """How far an item is."""

    says: Literal["progress"]
    id: int
    bytes_done: Count
    files_done: Count


class Files(Frozen):
    """Some files of an item, in the walk's order: path, size and checksum."""

    says: Literal["files"]
    id: int
    files: list[tuple[PathText, Count, Digest]]

    def entries(self) -> list[ManifestEntry]:
        """Return them as a manifest has them."""
        return [ManifestEntry(*file) for file in self.files]


class Question(Frozen):
    """It needs something before it can go on.

    That the lease be confirmed, checksums that are known, a hard link, or
    what is in a folder that is lent.
    """

    says: Literal["confirm", "known", "link", "status", "link text", "open", "return"]
    id: int
    name: str = ""
    folder: int = 0
    descriptors: Annotated[int, Field(ge=0, le=2)] = 0


class Surveyed(Frozen):
    """What is at a source."""

    kind: Literal["file", "directory"]
    size_bytes: Count
    file_count: Count
    fingerprint: Digest
    allocated_bytes: Count

    def survey(self) -> Survey:
        """Return it as the engine has it."""
        return Survey(**self.model_dump())


class Delivered(Frozen):
    """What is at a destination now."""

    kind: Literal["file", "directory", "symlink"]
    size_bytes: Count
    file_count: Count
    checksum: Digest | None
    checksum_algorithm: ChecksumAlgorithm | None
    fingerprint: Digest

    def published(self) -> Published:
        """Return it as the engine has it."""
        return Published(**self.model_dump())


class Shown(Frozen):
    """What was looked at or opened in an item's source.

    Attributes
    ----------
    errno
        Why it could not be, as the system call said.
    status
        What `os.stat_result` is made of.
    folder
        Of what was opened: the number of a directory, 0 for a file. Its descriptor comes with it.
    """

    errno: Count | None = None
    status: tuple[Annotated[list[int], Field(min_length=10, max_length=10)], dict[str, int | float | None]] | None = (
        None
    )
    text: PathText | None = None
    folder: Count | None = None


class StepDone(Frozen):
    """A step is done for an item."""

    says: Literal["done"]
    id: int
    surveyed: Surveyed | None = None
    is_duplicate: bool = False
    is_small: bool = False
    delivered: Delivered | None = None
    swept: Count = 0
    shown: Shown | None = None


class StepFailed(Frozen):
    """A step has failed for an item."""

    says: Literal["failed"]
    id: int
    type: str
    message: str
    trace: str = ""

    def error(self) -> StagingError:
        """Return the error of that name; one that there is not is unforeseen."""
        kind = KINDS.get(self.type, UnforeseenError)
        error = kind.__new__(kind)
        StagingError.__init__(error, readable(self.message)[:LONGEST_ERROR])
        return error


class OrderDone(Frozen):
    """An order is carried out."""

    says: Literal["over"]


class Heartbeat(Frozen):
    """It lives."""

    says: Literal["alive"]


Reply = Progress | Files | Question | StepDone | StepFailed | OrderDone | Heartbeat
_reply: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="says")])


def reply_of(message: Message) -> Reply:
    """Return what a message says.

    Raises
    ------
    ConnectionLost
        It is none that a mover sends.
    """
    try:
        return _reply.validate_python(message)
    except (ValidationError, UnicodeError) as error:
        raise ConnectionLost(NO_MESSAGE) from error
