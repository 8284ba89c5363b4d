"""The transfer of a file or a tree to a temporary name beside its destination, checked as its bytes pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from stager.checksums import Checksum, hasher_for, text
from stager.engine.control import Control
from stager.engine.expected import Expected, require_checksum, require_size
from stager.engine.fingerprint import fingerprint_of_file
from stager.engine.mapping import writing
from stager.engine.overlap import refuse_overlap
from stager.engine.product_copier import Copier
from stager.engine.source import READ_DIRECTORY, Source, inode, opened
from stager.engine.staged import Modes, Staged, staging
from stager.engine.survey import Survey, survey_opened
from stager.engine.tree import TreeCopy
from stager.engine.walk import Folder
from stager.errors import NoSpace, SourceChanged, SourceNotFound
from stager.paths import Descriptor, Location
from stager.slices.copying import CREATE, CopyTerms, Unread, Unwritten
from stager.slices.helpers import Helpers, started_helpers
from stager.vocabulary import ManifestEntry

_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700
_AS_IT_IS = CopyTerms(_PRIVATE_FILE, is_cloned=False, is_summed=True)


def transfer(
    source: Location,
    destination: Location,
    *,
    survey: Survey,
    modes: Modes,
    control: Control,
    expected: Expected | None = None,
    known: Iterable[ManifestEntry] | None = None,
    on_file: Callable[[ManifestEntry], None] | None = None,
    helped_from: int = 2000,
) -> Staged:
    """Copy a product under a temporary name beside its destination.

    Nothing is visible at the destination; after any error, also one that a
    signal raises, nothing is left. The source is only read.

    Parameters
    ----------
    survey
        What the source was when it was looked at; it must be that still when
        the copy ends.
    modes
        What the missing folders on the way get, and what the files end as.
    expected
        What the request says of the source.
    known
        The manifest of an earlier delivery of this very source (the same
        survey's fingerprint), in its order. Where the file system shares
        blocks between files, it spares reading them.
    on_file
        Called with each file in the walk's order: by name within a
        directory, by path in the product; a single file by its source's name.
    helped_from
        Files of a tree from which other processes help: fewer are copied
        before one is there.

    Returns
    -------
    Staged
        To be sealed, flushed and published, or discarded. A file's checksum
        is its Adler-32, a directory's the SHA-256 over the lines ``adler32
        size path`` of its files in the walk's order, each ended by a newline.

    Raises
    ------
    SourceChanged, SourceMismatch, SourceUnreadable
        About the source.
    OverlappingPaths, InvalidPath
        The destination lies in the source, the source in the destination, or
        a name on the way to it is reserved.
    NoSpace, DestinationNotWritable, DestinationDiffers
        About the destination.
    StorageFault, CorruptedInTransfer
        The storage failed.
    Cancelled
        ``control`` said to stop.

    Notes
    -----
    Kept: bytes, holes, mtime in nanoseconds, symbolic links that stay inside,
    hard links within the product. Not kept: extended attributes and ACLs.
    A change within one tick of the file system's clock that leaves size and
    inode alone cannot be seen by stat(2).
    """
    expected = expected or Expected()
    try:
        with opened(source) as found:
            _refuse_other(found, survey, expected)
            with staging(destination, modes) as staged:
                refuse_overlap(found, parent=staged.parent.fd, destination=destination, there=staged.previous)
                copier = Copier(
                    source=source.display,
                    destination=destination.display,
                    known=known,
                    on_file=on_file,
                    require_room=lambda: _require_room(staged, survey),
                    control=control,
                )
                copier.control.check()
                if found.is_directory:
                    _copy_tree(found, staged, copier, survey, helped=survey.file_count >= helped_from)
                else:
                    _copy_file(found, staged, copier, survey, expected.checksum)
                _refuse_other_files(found, staged, survey)
                control.finish()
                return staged
    except SourceNotFound as error:
        raise SourceChanged(source.display, "it vanished") from error


def _refuse_other(source: Source, survey: Survey, expected: Expected) -> None:
    """Raise before anything is copied if the source has another kind or size than surveyed."""
    kind = "directory" if source.is_directory else "file"
    if kind != survey.kind:
        raise SourceChanged(source.display, f"it was a {survey.kind} and is a {kind}")
    if not source.is_directory and source.status.st_size != survey.size_bytes:
        raise SourceChanged(source.display, f"its size was {survey.size_bytes} bytes and has changed")
    require_size(source.display, survey, expected)


def _copy_file(source: Source, staged: Staged, copier: Copier, survey: Survey, wanted: Checksum | None) -> None:
    hasher = hasher_for(wanted)
    with writing(copier.destination):
        content = Descriptor(os.open(staged.name, CREATE, _PRIVATE_FILE, dir_fd=staged.parent.fd))
        staged.inode = inode(os.fstat(content.fd))
    with content:
        checksum = copier.copy(source.content.fd, content.fd, status=source.status, path="", hasher=hasher)
        copier.settle(content.fd, status=source.status, terms=_AS_IT_IS, path="")
    _refuse_changed(source, survey, fingerprint_of_file(os.fstat(source.content.fd)))
    require_checksum(source.display, wanted, adler32=checksum, hasher=hasher)
    staged.checksum, staged.size_bytes, staged.file_count = text(checksum), source.status.st_size, 1
    copier.note_alone(os.fsdecode(source.name), source.status.st_size, staged.checksum)


def _copy_tree(source: Source, staged: Staged, copier: Copier, survey: Survey, *, helped: bool) -> None:
    staged.kind = "directory"
    with writing(copier.destination):
        os.mkdir(staged.name, _PRIVATE_DIRECTORY, dir_fd=staged.parent.fd)
        top = Descriptor(os.open(staged.name, READ_DIRECTORY, dir_fd=staged.parent.fd))
        staged.inode = inode(os.fstat(top.fd))
    with (
        top,
        started_helpers(are_wanted=helped, source=source.content, destination=top, lock=staged.folder.lock) as helping,
    ):
        helpers = Helpers(lambda: copier.control.advance(0), helping)
        tree = TreeCopy(copier, helpers, top=top, modes=staged.modes)
        try:
            tree.walk(Folder(path="", source=source.content, destination=top))
            helpers.finish()
        except (Unread, Unwritten) as error:
            raise copier.failure(error, error.path) from error
        with writing(copier.destination):
            os.utime(top.fd, ns=(source.status.st_atime_ns, source.status.st_mtime_ns))
        _refuse_changed(source, survey, survey_opened(source, helpers=helpers).fingerprint)
    staged.checksum, staged.contents = copier.manifest_checksum, tree.contents
    staged.size_bytes, staged.file_count = copier.size_bytes, copier.file_count


def _refuse_changed(source: Source, survey: Survey, fingerprint: str) -> None:
    if fingerprint != survey.fingerprint:
        raise SourceChanged(source.display, "it is not what it was when it was checked")


def _refuse_other_files(source: Source, staged: Staged, survey: Survey) -> None:
    if (staged.size_bytes, staged.file_count) != (survey.size_bytes, survey.file_count):
        raise SourceChanged(source.display, "its files are not those that were checked")


def _require_room(staged: Staged, survey: Survey) -> None:
    with writing(staged.destination):
        system = os.fstatvfs(staged.parent.fd)
    free = system.f_bavail * system.f_frsize
    if free < survey.allocated_bytes:
        raise NoSpace(staged.destination.display, f"{survey.allocated_bytes} bytes are needed and only {free} are free")
    if system.f_files and system.f_favail < survey.file_count:
        raise NoSpace(
            staged.destination.display, f"{survey.file_count} files are to be created and only {system.f_favail} can be"
        )
