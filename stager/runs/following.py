"""What a run does while its mover works on an item: it records progress and manifests, and confirms the lease."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from stager.checksums import ADLER32, Checksum
from stager.engine import StopSignal
from stager.errors import StagingError
from stager.mover.answers import Watch
from stager.mover.replies import StepDone
from stager.records.items import ManifestWriter, manifest_of, manifest_writer
from stager.runs.destinations import LeaseHolder
from stager.runs.entry import Entry
from stager.runs.limited_transfers import LimitedTransfers
from stager.vocabulary import ManifestEntry


class Following:
    """A step of one item, as the run follows it; this base class only takes over the result."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    @property
    def watch(self) -> Watch:
        """The callbacks of the mover's step."""
        return Watch(stopped=self.entry.stopped)

    def settled(self, outcome: StepDone | StagingError) -> StagingError | None:
        """Take over the result of the step; return its error, or None."""
        if isinstance(outcome, StagingError):
            return outcome
        entry = self.entry
        if outcome.surveyed is not None:
            entry.survey = outcome.surveyed.survey()
        if outcome.delivered is not None:
            entry.published = outcome.delivered.published()
        return None


class Manifesting(Following):
    """A step that reads an item's files: it records a directory's manifest, and keeps a file's checksum."""

    def __init__(self, entry: Entry, writer: LeaseHolder) -> None:
        super().__init__(entry)
        self._writer = writer
        self._opened: AbstractContextManager[ManifestWriter] | None = None
        self._write: ManifestWriter | None = None

    def on_file(self, file: ManifestEntry) -> None:
        """Add a file to the manifest."""
        if self.entry.surveyed.kind == "directory":
            self._begun()(file)
        else:
            self.entry.checksum = Checksum(ADLER32, file.checksum)

    def _begun(self) -> ManifestWriter:
        """Begin the manifest, and remove what a run that died wrote of it."""
        if self._write is None:
            self._opened = manifest_writer(self._writer.database, self.entry.file, holder=self._writer.holder)
            self._write = self._opened.__enter__()
        return self._write

    def ended(self, error: StagingError | None) -> StagingError | None:
        """End the manifest; return its error, or else that of the step."""
        try:
            if error is None and self.entry.surveyed.kind == "directory":
                self._begun()
            if self._opened is not None:
                self._opened.__exit__(type(error) if error else None, error, None)
        except StagingError as raised:
            return raised
        return error


class Comparing(Manifesting):
    """The second step, which begins a manifest only where something is at the destination."""

    @property
    def watch(self) -> Watch:
        """The callbacks of the mover's step."""
        return Watch(stopped=self.entry.stopped, on_file=self.on_file)

    def settled(self, outcome: StepDone | StagingError) -> StagingError | None:
        """Take over whether the item is there already, once its manifest is written."""
        error = super().settled(outcome)
        is_duplicate = isinstance(outcome, StepDone) and outcome.is_duplicate
        if is_duplicate or self._opened is not None:
            error = self.ended(error)
        self.entry.is_duplicate = is_duplicate and error is None
        return error


class Transferring(Manifesting):
    """The third step, with progress, the manifest, and the known checksums of the unchanged source.

    Parameters
    ----------
    limited
        Keeps it within what the other server's operator allows, if it goes to one.
    """

    def __init__(self, entry: Entry, writer: LeaseHolder, limited: LimitedTransfers | None = None) -> None:
        super().__init__(entry, writer)
        self._limited = limited
        self._is_left: StopSignal = entry.stopped

    @property
    def watch(self) -> Watch:
        """The callbacks of the mover's step."""
        return Watch(
            stopped=self.entry.stopped,
            on_progress=self._note,
            on_file=self.on_file,
            known=self._known_checksums,
            admitted=self._admitted,
        )

    def _admitted(self, is_left: StopSignal) -> AbstractContextManager[None]:
        if self._limited is None:
            return nullcontext()
        self._is_left = is_left
        self.entry.bytes_done = 0
        return self._limited.slot(self.entry.file.request_id, is_left)

    def _note(self, bytes_done: int, files_done: int) -> None:
        new = bytes_done - self.entry.bytes_done
        self.entry.bytes_done, self.entry.files_done = bytes_done, files_done
        if self._limited is not None:
            self._limited.pace(new, self._is_left)

    def _known_checksums(self) -> Iterable[ManifestEntry]:
        last = self.entry.last_of_same_source
        if last is None:
            return ()
        if self.entry.surveyed.kind == "directory":
            return manifest_of(self._writer.database, last.file_id)
        if last.checksum is None or last.checksum.algorithm != ADLER32:
            return ()
        path = self.entry.file.local_path_on_storage
        return [ManifestEntry(path=path, size_bytes=self.entry.surveyed.size_bytes, checksum=last.checksum.value)]

    def settled(self, outcome: StepDone | StagingError) -> StagingError | None:
        """Take over what was transferred, once its manifest is written."""
        return self.ended(super().settled(outcome))
