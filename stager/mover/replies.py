"""A mover's messages, checked: only what is well formed is believed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import starmap
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from stager.checksums import ADLER32, SHA256
from stager.engine import Published, Survey
from stager.errors import KINDS, StagingError, UnforeseenError, readable
from stager.models import MAX_SIZE_BYTES, Frozen, PathText
from stager.mover.channel import NO_MESSAGE, ConnectionLost, Message, message_of
from stager.mover.dialogue import FILES_IN_A_MESSAGE, PAGE_ITEMS, TOLD_AT_ONCE
from stager.vocabulary import ManifestEntry

# Characters of an error that are kept.
LONGEST_ERROR = 8000

Count = Annotated[int, Field(ge=0, le=MAX_SIZE_BYTES, strict=True)]
TenNumbers = Annotated[list[int], Field(min_length=10, max_length=10)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")]
Adler32 = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AboutAnItem(Frozen):
    """What is told of an item.

    Attributes
    ----------
    progress
        Bytes and files done so far.
    files
        Its next files in the walk's order: path, size and checksum.
    found
        The next paths that it stands for, and the sizes that are known; few, since they are kept until many are there.
    """

    id: int
    progress: tuple[Count, Count] | None = None
    files: Annotated[tuple[tuple[PathText, Count, Adler32], ...], Field(max_length=FILES_IN_A_MESSAGE)] = ()
    found: Annotated[tuple[tuple[PathText, Count | None], ...], Field(max_length=FILES_IN_A_MESSAGE)] = ()

    def entries(self) -> Iterator[ManifestEntry]:
        """Yield the files as entries of a manifest."""
        return starmap(ManifestEntry, self.files)


class Report(AboutAnItem):
    """How far an item is."""

    says: Literal["report"]


class Question(Frozen):
    """The mover needs something before it can go on.

    Whether some items must not be published, checksums that are known, a hard
    link, or what is in a folder that is lent.
    """

    says: Literal["refuse", "known", "link", "status", "link text", "open", "return"]
    id: int
    name: str = ""
    folder: int = 0
    items: tuple[int, ...] = ()
    descriptors: Annotated[int, Field(ge=0, le=2)] = 0


class Surveyed(Frozen):
    """The survey of a source."""

    kind: Literal["file", "directory"]
    size_bytes: Count
    file_count: Count
    fingerprint: Digest
    allocated_bytes: Count

    def survey(self) -> Survey:
        """Return the same as the engine's class."""
        return Survey(**vars(self))


class Delivered(Frozen):
    """What was published at a destination."""

    kind: Literal["file", "directory", "symlink"]
    size_bytes: Count
    file_count: Count
    checksum: Adler32 | Sha256 | None
    checksum_algorithm: Literal["adler32", "sha256"] | None
    fingerprint: Digest
    left_writable: Annotated[str, Field(max_length=LONGEST_ERROR)] | None = None
    left_unverified: Annotated[str, Field(max_length=LONGEST_ERROR)] | None = None

    @model_validator(mode="after")
    def _has_the_form_of_its_algorithm(self) -> Self:
        digits = {None: 0, ADLER32: 8, SHA256: 64}[self.checksum_algorithm]
        if len(self.checksum or "") != digits:
            reason = "the checksum is none of its algorithm"
            raise ValueError(reason)
        return self

    def published(self) -> Published:
        """Return the same as the engine's class."""
        return Published(**vars(self))


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


class StepDone(AboutAnItem):
    """A step is done for an item.

    Attributes
    ----------
    also
        Other items that it is done for, of which there is as little to tell.
    """

    says: Literal["done"]
    also: Annotated[tuple[int, ...], Field(max_length=TOLD_AT_ONCE)] = ()
    surveyed: Surveyed | None = None
    is_duplicate: bool = False
    is_small: bool = False
    delivered: Delivered | None = None
    swept: Count = 0
    is_removed: bool = False
    shown: Shown | None = None


class Several(Frozen):
    """A step is done for several items."""

    says: Literal["several"]
    done: Annotated[list[StepDone], Field(max_length=PAGE_ITEMS)]


class StepFailed(Frozen):
    """A step has failed for an item."""

    says: Literal["failed"]
    id: int
    type: str
    message: str
    trace: str = ""

    def error(self) -> StagingError:
        """Return the error of that name; an unknown name makes an unforeseen error."""
        kind = KINDS.get(self.type, UnforeseenError)
        error = kind.__new__(kind)
        StagingError.__init__(error, readable(self.message)[:LONGEST_ERROR])
        return error


class OrderDone(Frozen):
    """An order is carried out."""

    says: Literal["over"]


class Heartbeat(Frozen):
    """The mover is alive."""

    says: Literal["alive"]


Reply = Report | Question | StepDone | Several | StepFailed | OrderDone | Heartbeat
_reply: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="says")])


def reply_in(line: bytes) -> Reply:
    """Return the reply that a line of JSON is; as `reply_of`."""
    try:
        return _reply.validate_json(line)
    except ValidationError:  # or a lone surrogate, which stands for a byte that is no text: this parser takes none
        return reply_of(message_of(line))


def reply_of(message: Message) -> Reply:
    """Return the reply that a message is.

    Raises
    ------
    ConnectionLost
        It is none that a mover sends.
    """
    try:
        return _reply.validate_python(message)
    except (ValidationError, UnicodeError) as error:
        raise ConnectionLost(NO_MESSAGE) from error
