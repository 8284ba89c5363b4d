"""What a run does while its mover is at an item: it writes down progress and manifests, and confirms the lease."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from stager.checksums import ADLER32, Checksum
from stager.errors import StagingError
from stager.mover.answers import Watch
from stager.mover.replies import StepDone
from stager.records.items import ManifestWriter, manifest_of, manifest_writer
from stager.runs.destinations import Writer
from stager.runs.entry import Entry
from stager.vocabulary import ManifestEntry


class Following:
    """A step of one item, as the run follows it: by itself it takes what the step has found."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    @property
    def watch(self) -> Watch:
        """What the mover's step is watched by."""
        return Watch(stopped=self.entry.stopped)

    def settled(self, outcome: StepDone | StagingError) -> StagingError | None:
        """Take what came of the step; return the error if it is one."""
        if isinstance(outcome, StagingError):
            return outcome
        entry = self.entry
        if outcome.surveyed is not None:
            entry.survey = outcome.surveyed.survey()
        if outcome.delivered is not None:
            entry.published = outcome.delivered.published()
        return None


class Publishing(Following):
    """The last step: the lease is confirmed right before the destination gets its name."""

    def __init__(self, entry: Entry, writer: Writer) -> None:
        super().__init__(entry)
        self._writer = writer

    @property
    def watch(self) -> Watch:
        """What the mover's step is watched by."""
        return Watch(stopped=self.entry.stopped, confirm=lambda: self._writer.confirm(self.entry))


class Manifesting(Following):
    """A step that reads the files of an item: a directory's are written down, of a file the checksum is kept."""

    def __init__(self, entry: Entry, writer: Writer) -> None:
        super().__init__(entry)
        self._writer = writer
        self._opened: AbstractContextManager[ManifestWriter] | None = None
        self._write: ManifestWriter | None = None

    def on_file(self, file: ManifestEntry) -> None:
        """Write a file down."""
        if self.entry.surveyed.kind == "directory":
            self._begun()(file)
        else:
            self.entry.checksum = Checksum(ADLER32, file.checksum)

    def _begun(self) -> ManifestWriter:
        """Begin the manifest; what a run that died has written of it goes."""
        if self._write is None:
            self._opened = manifest_writer(self._writer.database, self.entry.file, holder=self._writer.holder)
            self._write = self._opened.__enter__()
        return self._write

    def ended(self, error: StagingError | None) -> StagingError | None:
        """End the manifest; return the error that this met, or the one that the step has met."""
        try:
            if error is None and self.entry.surveyed.kind == "directory":
                self._begun()
            if self._opened is not None:
                self._opened.__exit__(type(error) if error else None, error, None)
        except StagingError as raised:
            return raised
        return error


class Comparing(Manifesting):
    """The second step: a manifest is begun only where something is at the destination."""

    @property
    def watch(self) -> Watch:
        """What the mover's step is watched by."""
        return Watch(stopped=self.entry.stopped, on_file=self.on_file)

    def settled(self, outcome: StepDone | StagingError) -> StagingError | None:
        """Take whether the item is there already: its manifest is written by then."""
        error = super().settled(outcome)
        is_duplicate = isinstance(outcome, StepDone) and outcome.is_duplicate
        if is_duplicate or self._opened is not None:
            error = self.ended(error)
        self.entry.is_duplicate = is_duplicate and error is None
        return error


class Transferring(Manifesting):
    """The third step: progress, the manifest, and the checksums that are known of the very same source."""

    @property
    def watch(self) -> Watch:
        """What the mover's step is watched by."""
        return Watch(
            stopped=self.entry.stopped, on_progress=self._note, on_file=self.on_file, known=self._known_checksums
        )

    def _note(self, bytes_done: int, files_done: int) -> None:
        self.entry.bytes_done, self.entry.files_done = bytes_done, files_done

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
        """Take what was transferred, once its manifest is written."""
        return self.ended(super().settled(outcome))
