"""Downloads: when each began, how far it is, how it ended; and the links that a browser may follow once."""

from stager.records.downloads.links import LinkedObject, add_link, look_at_link, take_link
from stager.records.downloads.record import (
    DIRECT_DOWNLOAD,
    DownloadBegun,
    DownloadEnded,
    DownloadProgress,
    checksum_of_source,
    downloads_to_stop,
    new_download_id,
    note_sent,
    write_downloads,
)

__all__ = [
    "DIRECT_DOWNLOAD",
    "DownloadBegun",
    "DownloadEnded",
    "DownloadProgress",
    "LinkedObject",
    "add_link",
    "checksum_of_source",
    "downloads_to_stop",
    "look_at_link",
    "new_download_id",
    "note_sent",
    "take_link",
    "write_downloads",
]
