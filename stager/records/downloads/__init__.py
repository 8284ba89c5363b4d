"""Downloads: the beginning, progress and ending of each, and download links for browsers."""

from stager.records.downloads.links import LinkedObject, add_link, look_at_link, take_link
from stager.records.downloads.progress import DownloadProgress, downloads_to_stop, note_sent
from stager.records.downloads.record import DIRECT_DOWNLOAD, DownloadBegun, DownloadEnded, write_downloads

__all__ = [
    "DIRECT_DOWNLOAD",
    "DownloadBegun",
    "DownloadEnded",
    "DownloadProgress",
    "LinkedObject",
    "add_link",
    "downloads_to_stop",
    "look_at_link",
    "note_sent",
    "take_link",
    "write_downloads",
]
