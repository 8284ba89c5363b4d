"""The items of a request: their progress, what was delivered, and the manifests of directories."""

from stager.records.items.destination import destination_key, key_of
from stager.records.items.files import (
    FileChange,
    Progress,
    beginning,
    checksum_of_source,
    counts_of,
    ended_among,
    files_of,
    first_files,
    has_directory,
    last_copies,
    note_progress,
    save_files,
)
from stager.records.items.manifests import (
    ManifestWriter,
    item_with_manifest,
    manifest_of,
    manifest_part,
    manifest_writer,
)
from stager.records.items.undone import LeftUndone, left_undone

__all__ = [
    "FileChange",
    "LeftUndone",
    "ManifestWriter",
    "Progress",
    "beginning",
    "checksum_of_source",
    "counts_of",
    "destination_key",
    "ended_among",
    "files_of",
    "first_files",
    "has_directory",
    "item_with_manifest",
    "key_of",
    "last_copies",
    "left_undone",
    "manifest_of",
    "manifest_part",
    "manifest_writer",
    "note_progress",
    "save_files",
]
