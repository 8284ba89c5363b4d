"""One item on its way through the steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from stager.checksums import Checksum
from stager.engine import Published, Survey
from stager.errors import Cancelled, StagingError, UnforeseenError, printable
from stager.methods import Item, LastCopy
from stager.models import Status
from stager.records.items import FileChange, Progress
from stager.records.tables import StagedFile
from stager.runs.stop import Stop


@dataclass(kw_only=True, eq=False)
class Entry:
    """An item: its record, its resolved names, and its state."""

    file: StagedFile
    item: Item
    # What its destination is called where places are compared: of a mounted one, the absolute path.
    place: str
    # Set when the item is to be left: then it goes no further.
    stopped: Stop
    # Where its user finds it, as `stager.runs.places` says.
    seen_at: str | None = None
    link: str | None = None
    survey: Survey | None = None
    published: Published | None = None
    is_duplicate: bool = False
    # The checksum of a file that was read.
    checksum: Checksum | None = None
    error: StagingError | None = None
    steps_done: set[str] = field(default_factory=set)
    # By ``time.monotonic``, before when whoever refused it does not want to be asked again.
    not_before: float = 0
    bytes_done: int = 0
    files_done: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether it is neither done nor failed."""
        return self.error is None and self.published is None and not self.is_duplicate

    @property
    def surveyed(self) -> Survey:
        """The survey that check_source made."""
        if self.survey is None:
            raise UnforeseenError(RuntimeError("the source was not looked at"))
        return self.survey

    @property
    def last_of_same_source(self) -> LastCopy | None:
        """The last delivery to the destination, if it was of the very same source."""
        last = self.item.last_copy
        return last if last and last.source_fingerprint == self.surveyed.fingerprint else None

    def progress(self) -> Progress:
        """Return the progress to record."""
        found = self.surveyed
        return Progress(self.file.id, self.bytes_done, self.files_done, found.size_bytes, found.file_count)

    def change(self, method: str) -> FileChange:
        """Return the changes to record of the item, after staging by that method."""
        change = FileChange(id=self.file.id, status=self._status(), method=method)
        if self.error is not None:
            change["error_reason"], change["error_type"] = self.error.message, type(self.error).__name__
        if self.survey is not None:
            change["kind"] = self.survey.kind
            change["size_bytes"] = self.survey.size_bytes
            change["file_count"] = self.survey.file_count
            change["source_fingerprint"] = self.survey.fingerprint
            if self.is_duplicate and self.survey.kind == "file":
                last = self.last_of_same_source
                checksum = self.checksum or (last.checksum if last else None)
                change["checksum_algorithm"], change["checksum"] = checksum or (None, None)
        if self.published is not None:
            change["kind"] = self.published.kind
            change["checksum"] = self.published.checksum
            change["checksum_algorithm"] = self.published.checksum_algorithm
            change["destination_fingerprint"] = self.published.fingerprint
            change["left_writable"] = _line(self.published.left_writable)
            change["left_unverified"] = _line(self.published.left_unverified)
            change["bytes_done"], change["files_done"] = self.bytes_done, self.files_done
        return change

    def _status(self) -> Status:
        if self.error is not None:
            return Status.CANCELLED if isinstance(self.error, Cancelled) else Status.FAILED
        if self.published is not None:
            return Status.COMPLETED
        return Status.SKIPPED if self.is_duplicate else Status.STARTED


def _line(reason: str | None) -> str | None:
    return reason and printable(reason)
